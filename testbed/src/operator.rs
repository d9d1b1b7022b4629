//! The operator's real binary as a child process.

use std::{fs, path::Path, process::ExitStatus, sync::Arc, time::Duration};

use anyhow::Result;

use crate::sandbox::{Sandbox, Server};

/// How long an operator may take to end after SIGTERM, on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running operator, killed when dropped.
#[derive(Debug)]
pub struct Operator {
    server: Server,
}

impl Operator {
    /// Starts `binary` with a clean environment, `KUBECONFIG`, the variables of `env` and the arguments `args`. It is running when this
    /// returns, not ready.
    pub fn start<K: AsRef<str>, V: AsRef<str>>(
        sandbox: &Arc<Sandbox>,
        binary: &Path,
        kubeconfig: &Path,
        env: &[(K, V)],
        args: &[&str],
    ) -> Result<Self> {
        let mut command = sandbox.command(binary);
        command.env("KUBECONFIG", kubeconfig).envs(env.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))).args(args);
        Ok(Self { server: sandbox.spawn("operator", command)? })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Everything that the operator has written to standard output and standard error.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// The file behind [`Operator::log`].
    pub fn log_path(&self) -> &Path {
        self.server.log_path()
    }

    /// How the operator ended, or nothing while it runs.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.server.exit_status()
    }

    /// Fails with the end of the log when the operator has ended.
    pub fn ensure_running(&self) -> Result<()> {
        self.server.ensure_running()
    }

    /// Asks the operator to end (SIGTERM), waits and returns the exit status.
    pub async fn terminate(&self) -> Result<ExitStatus> {
        self.server.terminate(PATIENCE).await
    }

    /// Ends the operator on the spot (SIGKILL), as a crash or a lost node would.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Stops the process without ending it (SIGSTOP): the operator that hangs. [`Operator::resume`] lets it go on.
    pub fn freeze(&self) -> Result<()> {
        self.server.signal(rustix::process::Signal::STOP)
    }

    /// Lets a frozen operator go on (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        self.server.signal(rustix::process::Signal::CONT)
    }

    /// The most memory that the operator has had resident so far, in bytes; nothing when it has ended or the system has no `/proc`.
    pub fn peak_rss(&self) -> Option<u64> {
        memory(self.pid(), "VmHWM:")
    }

    /// The memory that the operator has resident now, in bytes; nothing when it has ended or the system has no `/proc`.
    pub fn rss(&self) -> Option<u64> {
        memory(self.pid(), "VmRSS:")
    }
}

fn memory(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
