//! Memory that parent and child both see, also where the child has a copy of everything else: the
//! child's stack until it executes the program, and the step that failed.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use super::before_exec::Step;

/// One page that faults, so that a stack too small is a crash and not silent damage.
const GUARD: usize = 4096;
const STACK: usize = 64 * 1024;
const CELL: usize = 4096;
const TOTAL: usize = GUARD + STACK + CELL;

/// The region: guard, stack (growing down to it), cell.
pub(super) struct Shared {
    base: NonNull<u8>,
}

/// What went wrong in the child, if something did.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Failure {
    step: AtomicU32,
    errno: AtomicI32,
}

impl Shared {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: a new anonymous mapping, placed by the kernel; it overlaps nothing.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                TOTAL,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).expect("mmap without an address gives no page zero");
        let shared = Self { base };
        // SAFETY: the first page of the mapping just made, which holds nothing.
        if unsafe { libc::mprotect(base.as_ptr().cast(), GUARD, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(shared)
    }

    /// The end of the stack: it grows down from here. Aligned to a page.
    pub(super) fn stack_top(&self) -> *mut libc::c_void {
        // SAFETY: within the mapping, whose length is TOTAL.
        unsafe { self.base.as_ptr().add(GUARD + STACK).cast() }
    }

    pub(super) fn failure(&self) -> &Failure {
        // SAFETY: the page behind the stack is mapped as long as `self` lives, zeroed by the kernel (a
        // valid Failure), aligned, and used for nothing else.
        unsafe { &*self.base.as_ptr().add(GUARD + STACK).cast::<Failure>() }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; a child that used it has executed its program or ended,
        // since the parent was held until then. Unmapping cannot fail for a whole mapping.
        unsafe { libc::munmap(self.base.as_ptr().cast(), TOTAL) };
    }
}

impl Failure {
    /// Called in the child: nothing but two stores.
    pub(super) fn set(&self, step: Step, errno: i32) {
        self.errno.store(errno, Ordering::Relaxed);
        self.step.store(step as u32, Ordering::Release);
    }

    pub(super) fn get(&self) -> Option<(Step, io::Error)> {
        let step = Step::from_number(self.step.load(Ordering::Acquire))?;
        let errno = self.errno.load(Ordering::Relaxed);
        Some((step, io::Error::from_raw_os_error(errno)))
    }
}
