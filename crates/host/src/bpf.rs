//! Classic BPF: small programs the kernel runs on every frame, for `tc` and for packet sockets.
//!
//! The assembler knows what the programs of this crate need: loads, a few operations, and jumps
//! forward to labels, whose distance is nobody's business but its own.

/// A program, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program(Vec<Instruction>);

/// One instruction as the kernel has it (`struct sock_filter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// How many instructions to skip if a condition holds.
    pub then: u8,
    /// How many to skip if it does not.
    pub otherwise: u8,
    /// Its number.
    pub value: u32,
}

impl Program {
    /// A program that gives the same answer to every frame.
    pub fn always(value: u32) -> Self {
        Self(vec![plain(libc::BPF_RET | libc::BPF_K, value)])
    }

    /// The instructions.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    /// As `tc` wants it: instructions one after the other, in the host's byte order.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let bytes = |instruction: &Instruction| {
            let mut bytes = [0; 8];
            bytes[..2].copy_from_slice(&instruction.code.to_ne_bytes());
            bytes[2] = instruction.then;
            bytes[3] = instruction.otherwise;
            bytes[4..].copy_from_slice(&instruction.value.to_ne_bytes());
            bytes
        };
        self.0.iter().flat_map(bytes).collect()
    }
}

/// How many bytes a load takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Byte,
    Half,
    Word,
}

/// What the accumulator is compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Is {
    Equal(u32),
    AtLeast(u32),
    /// Not less than the index register.
    AtLeastIndex,
    /// Any of these bits set.
    Any(u32),
}

/// A place further on in the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label(usize);

#[derive(Debug, Clone, Copy)]
enum Line {
    Plain(Instruction),
    Goto(Label),
    /// To the label if the condition is as wanted.
    Branch {
        condition: Is,
        wanted: bool,
        label: Label,
    },
}

/// Takes lines, gives a [`Program`].
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    lines: Vec<Line>,
    /// For every label the number of the line it is before.
    labels: Vec<Option<usize>>,
}

impl Assembler {
    /// A label for a place to come.
    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The label's place is here.
    pub(crate) fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.lines.len());
    }

    /// Loads from a fixed place of the frame. A frame too short ends the program with 0.
    pub(crate) fn load(&mut self, width: Width, offset: u32) {
        self.plain(libc::BPF_LD | size(width) | libc::BPF_ABS, offset);
    }

    /// The same from the index register on.
    pub(crate) fn load_indexed(&mut self, width: Width, offset: u32) {
        self.plain(libc::BPF_LD | size(width) | libc::BPF_IND, offset);
    }

    /// Loads the length of the frame.
    pub(crate) fn load_length(&mut self) {
        self.plain(libc::BPF_LD | libc::BPF_W | libc::BPF_LEN, 0);
    }

    /// Loads what the kernel knows of the frame (`SKF_AD_*`).
    pub(crate) fn load_ancillary(&mut self, number: libc::c_int) {
        let offset = libc::SKF_AD_OFF.wrapping_add(number) as u32;
        self.plain(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    }

    /// Loads a constant into the index register.
    pub(crate) fn index(&mut self, value: u32) {
        self.plain(libc::BPF_LDX | libc::BPF_W | libc::BPF_IMM, value);
    }

    /// Loads the length of the IPv4 header at `offset` into the index register.
    pub(crate) fn index_by_header(&mut self, offset: u32) {
        self.plain(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, offset);
    }

    /// Copies the accumulator to the index register.
    pub(crate) fn accumulator_to_index(&mut self) {
        self.plain(libc::BPF_MISC | libc::BPF_TAX, 0);
    }

    /// Keeps the accumulator in a cell.
    pub(crate) fn keep(&mut self, cell: u32) {
        self.plain(libc::BPF_ST, cell);
    }

    /// Takes the accumulator from a cell, which was kept on every way here.
    pub(crate) fn recall(&mut self, cell: u32) {
        self.plain(libc::BPF_LD | libc::BPF_W | libc::BPF_MEM, cell);
    }

    /// Loads a constant.
    pub(crate) fn number(&mut self, value: u32) {
        self.plain(libc::BPF_LD | libc::BPF_W | libc::BPF_IMM, value);
    }

    /// An operation of the accumulator with a constant: `libc::BPF_ADD`, `libc::BPF_AND`, ...
    pub(crate) fn operate(&mut self, operation: u32, value: u32) {
        self.plain(libc::BPF_ALU | libc::BPF_K | operation, value);
    }

    /// The same with the index register.
    pub(crate) fn operate_index(&mut self, operation: u32) {
        self.plain(libc::BPF_ALU | libc::BPF_X | operation, 0);
    }

    /// Goes on at the label.
    pub(crate) fn goto(&mut self, label: Label) {
        self.lines.push(Line::Goto(label));
    }

    /// Goes on at the label if the condition holds.
    pub(crate) fn goto_if(&mut self, condition: Is, label: Label) {
        self.lines.push(Line::Branch {
            condition,
            wanted: true,
            label,
        });
    }

    /// Goes on at the label unless the condition holds.
    pub(crate) fn goto_unless(&mut self, condition: Is, label: Label) {
        self.lines.push(Line::Branch {
            condition,
            wanted: false,
            label,
        });
    }

    /// Ends the program with this value.
    pub(crate) fn answer(&mut self, value: u32) {
        self.plain(libc::BPF_RET | libc::BPF_K, value);
    }

    fn plain(&mut self, code: u32, value: u32) {
        self.lines.push(Line::Plain(plain(code, value)));
    }

    /// The program. Conditions reach 255 instructions far: those to labels further away become
    /// two, which moves what is behind them, until nothing moves any more.
    pub(crate) fn finish(self) -> Program {
        let mut long = vec![false; self.lines.len()];
        loop {
            let starts = self.starts(&long);
            let more = self.too_far(&starts, &long);
            if more.is_empty() {
                return self.encode(&starts, &long);
            }
            for line in more {
                long[line] = true;
            }
        }
    }

    /// Where each line's instructions begin, and where the program ends.
    fn starts(&self, long: &[bool]) -> Vec<usize> {
        let mut at = 0;
        let mut starts = Vec::with_capacity(long.len() + 1);
        for &long in long {
            starts.push(at);
            at += if long { 2 } else { 1 };
        }
        starts.push(at);
        starts
    }

    fn too_far(&self, starts: &[usize], long: &[bool]) -> Vec<usize> {
        let too_far = |&number: &usize| match self.lines[number] {
            Line::Branch { label, .. } => {
                !long[number] && self.distance(starts, starts[number], label) > 255
            }
            Line::Plain(_) | Line::Goto(_) => false,
        };
        (0..self.lines.len()).filter(too_far).collect()
    }

    /// Instructions between the one at `from` and the label.
    fn distance(&self, starts: &[usize], from: usize, label: Label) -> usize {
        let line = self.labels[label.0].expect("every label gets its place");
        let to = starts[line];
        to.checked_sub(from + 1).expect("jumps go forward only")
    }

    fn encode(&self, starts: &[usize], long: &[bool]) -> Program {
        let mut program = Vec::with_capacity(starts.last().copied().unwrap_or(0));
        for (number, line) in self.lines.iter().enumerate() {
            let at = starts[number];
            match *line {
                Line::Plain(instruction) => program.push(instruction),
                Line::Goto(label) => program.push(goto(self.distance(starts, at, label))),
                Line::Branch {
                    condition,
                    wanted,
                    label,
                } if long[number] => {
                    program.push(branch(condition, !wanted, 1));
                    program.push(goto(self.distance(starts, at + 1, label)));
                }
                Line::Branch {
                    condition,
                    wanted,
                    label,
                } => {
                    let distance = self.distance(starts, at, label);
                    let skip = u8::try_from(distance).expect("farther ones are long");
                    program.push(branch(condition, wanted, skip));
                }
            }
        }
        Program(program)
    }
}

fn size(width: Width) -> u32 {
    match width {
        Width::Byte => libc::BPF_B,
        Width::Half => libc::BPF_H,
        Width::Word => libc::BPF_W,
    }
}

fn plain(code: u32, value: u32) -> Instruction {
    Instruction {
        code: u16::try_from(code).expect("codes have 16 bits"),
        then: 0,
        otherwise: 0,
        value,
    }
}

fn goto(distance: usize) -> Instruction {
    let distance = u32::try_from(distance).expect("programs have 4096 instructions at most");
    plain(libc::BPF_JMP | libc::BPF_JA, distance)
}

/// Skips `skip` instructions if the condition is as wanted.
fn branch(condition: Is, wanted: bool, skip: u8) -> Instruction {
    let (code, value) = match condition {
        Is::Equal(value) => (libc::BPF_JEQ, value),
        Is::AtLeast(value) => (libc::BPF_JGE, value),
        Is::AtLeastIndex => (libc::BPF_JGE | libc::BPF_X, 0),
        Is::Any(value) => (libc::BPF_JSET, value),
    };
    let (then, otherwise) = if wanted { (skip, 0) } else { (0, skip) };
    Instruction {
        then,
        otherwise,
        ..plain(libc::BPF_JMP | libc::BPF_K | code, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_labels_take_one_instruction_and_far_ones_two() {
        for (between, length) in [(255, 1), (256, 2)] {
            let mut assembler = Assembler::default();
            let far = assembler.label();
            assembler.goto_unless(Is::Equal(7), far);
            for _ in 0..between {
                assembler.number(1);
            }
            assembler.place(far);
            assembler.answer(0);
            let program = assembler.finish();
            let program = program.instructions();
            assert_eq!(program.len(), length + between + 1);
            if length == 1 {
                assert_eq!((program[0].then, program[0].otherwise), (0, 255));
            } else {
                assert_eq!((program[0].then, program[0].otherwise), (1, 0));
                assert_eq!(program[1].value, 256);
            }
        }
    }
}
