//! The operator's real binary as a child process.

use std::{fs, net::SocketAddr, path::Path, process::ExitStatus, sync::Arc, time::Duration};

use anyhow::Result;

use crate::{
    http,
    sandbox::{Sandbox, Server},
    wait::{Seen, wait_for},
};

/// How long an operator may take to end after SIGTERM, on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running operator, killed when dropped.
#[derive(Debug)]
pub struct Operator {
    server: Server,
}

impl Operator {
    /// Starts `binary` with a clean environment, `KUBECONFIG`, the variables of `env` and the arguments `args`. Its health is served on a free
    /// port of the loopback interface, since any number of operators run on one machine. It is running when this returns, not ready.
    pub fn start<K: AsRef<str>, V: AsRef<str>>(
        sandbox: &Arc<Sandbox>,
        binary: &Path,
        kubeconfig: &Path,
        env: &[(K, V)],
        args: &[&str],
    ) -> Result<Self> {
        let mut command = sandbox.command(binary);
        command
            .env("KUBECONFIG", kubeconfig)
            .env("ROLEBRIDGE_HEALTH_ADDRESS", "127.0.0.1:0")
            .envs(env.iter().map(|(name, value)| (name.as_ref(), value.as_ref())))
            .args(args);
        Ok(Self { server: sandbox.spawn("operator", command)? })
    }

    /// Asks the operator of its health, `/livez` or `/readyz`, and returns the status and what it says. Waits until it listens.
    pub async fn health(&self, path: &str) -> Result<(u16, String)> {
        http::ask(&format!("http://{}{path}", self.health_address().await?)).await
    }

    /// Where the operator serves its health. Waits until it does.
    pub async fn health_address(&self) -> Result<SocketAddr> {
        let told = wait_for("the operator says where its health is served", || async {
            self.ensure_running()?;
            Ok(Seen::from_option(health_address(&self.log()), || self.log()))
        });
        Ok(told.await?.parse()?)
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

/// The address in what the operator logs when it has begun to listen, as JSON or as text.
fn health_address(log: &str) -> Option<String> {
    let (_, after) = log.split_once("health_address")?;
    let start = after.find(|c: char| c.is_ascii_digit())?;
    let address: String = after[start..].chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':')).collect();
    // A line that is still being written has no end yet.
    after[start..].strip_prefix(&address).filter(|rest| !rest.is_empty()).map(|_| address)
}

fn memory(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::health_address;

    #[test]
    fn the_address_is_found_in_either_form_of_the_log() {
        let json = r#"{"level":"INFO","message":"health is served","health_address":"127.0.0.1:4567"}"#;
        assert_eq!(health_address(json).as_deref(), Some("127.0.0.1:4567"));
        assert_eq!(health_address("INFO health is served health_address=127.0.0.1:4567\n").as_deref(), Some("127.0.0.1:4567"));
        assert_eq!(health_address("INFO health is served health_address=127.0.0.1:45"), None, "the line has no end yet");
        assert_eq!(health_address("INFO Rolebridge starts\n"), None);
    }
}
