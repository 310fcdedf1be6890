//! A bare repository on a host, and somebody who pushes to it.

use anyhow::Result;
use ignite_testkit::{Host, place};
use tempfile::TempDir;

/// A bare repository with a branch `main`; both the host and the machine see its directory.
pub struct Repository<'h> {
    host: &'h Host,
    directory: TempDir,
}

/// A VM's manifest.
pub fn manifest(name: &str, running: bool) -> String {
    format!(
        "apiVersion: ignite.weave.works/v1alpha4\nkind: VM\nmetadata: {{name: {name}}}\n\
         spec:\n  image: {{oci: busy}}\n  diskSize: 1GB\nstatus: {{running: {running}}}\n"
    )
}

impl<'h> Repository<'h> {
    pub fn new(host: &'h Host) -> Result<Self> {
        std::fs::create_dir_all(place::build("e2e"))?;
        let directory = tempfile::tempdir_in(place::build("e2e"))?;
        let repository = Self { host, directory };
        repository.sh(
            "git init -q --bare -b main vms.git; git init -q -b main work; cd work
             git config user.name one; git config user.email one@example.org; git remote add origin ../vms.git",
        )?;
        Ok(repository)
    }

    /// Where the bare repository is.
    pub fn path(&self) -> String {
        self.directory.path().join("vms.git").display().to_string()
    }

    /// Where both are.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Writes a file and pushes it.
    pub fn put(&self, file: &str, text: &str) -> Result<String> {
        let path = self.directory.path().join("work").join(file);
        std::fs::write(path, text)?;
        self.change("git add -A; git commit -qm change; git push -qf origin HEAD:main")
    }

    /// Runs a script in the working tree; the branch's commit after it.
    pub fn change(&self, script: &str) -> Result<String> {
        self.sh(&format!(
            "cd work; {script}; git ls-remote -q ../vms.git main | cut -f1"
        ))
    }

    /// Runs a script beside the repository.
    pub fn sh(&self, script: &str) -> Result<String> {
        let directory = self.directory.path().display();
        self.host.sh(&format!("cd {directory}; {script}")).ok()
    }
}
