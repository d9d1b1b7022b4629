//! A temporary folder and a process group that never outlive their owner.
//!
//! Neither `Drop` (statics, SIGKILL) nor a parent-death signal (tied to a thread, Linux only) covers every way a test can
//! end. A pipe does: its writing end is held by this process alone and closes with it. A small shell, the *watchdog*, waits for
//! that, kills the process group and removes the folder. Dropping a [`Sandbox`] closes the same pipe and waits.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal};

/// Holds the process group open, and so its number reserved, until the pipe closes.
const ANCHOR: &str = "trap '' HUP INT TERM; read -r _";

/// `$1` is the process group, `$2` the folder. What was just killed may still be in the middle of a write, hence the repetition.
const WATCHDOG: &str = r#"trap '' HUP INT TERM
read -r _
kill -s KILL -- "-$1" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$2" && exit 0; sleep 0.2; done
exit 1"#;

/// A temporary folder and a process group. Everything in them is gone when this value is dropped, or when the process
/// that holds it ends for whatever reason, SIGKILL included.
#[derive(Debug)]
pub struct Sandbox {
    dir: PathBuf,
    group: i32,
    anchor: Child,
    watchdog: Child,
    /// Its closing is what the watchdog waits for.
    lifeline: Option<ChildStdin>,
    /// Numbers the log files, so that a server that is started again does not overwrite its first log.
    started: AtomicU32,
}

impl Sandbox {
    /// Makes the folder and starts the watchdog. Fails when the folder cannot be made or there is no `sh`.
    pub fn new() -> Result<Arc<Self>> {
        let dir = tempfile::Builder::new().prefix("rolebridge-testbed-").tempdir().context("making a temporary folder")?;
        let spawn = |script: &str, group: Option<i32>| {
            Command::new("sh")
                .args(["-c", script, "sh"])
                .args(group.map(|group| group.to_string()))
                .args(group.map(|_| dir.path()))
                .current_dir("/")
                .env_clear()
                .env("PATH", path())
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .process_group(0)
                .spawn()
                .context("starting sh")
        };
        // The anchor's input is never written to nor closed by us: it ends by the watchdog's signal.
        let anchor = spawn(ANCHOR, None)?;
        let group = i32::try_from(anchor.id()).context("process id out of range")?;
        let mut watchdog = spawn(WATCHDOG, Some(group))?;
        let lifeline = watchdog.stdin.take();
        let dir = dir.keep();
        fs::create_dir(dir.join("home"))?;
        fs::create_dir(dir.join("logs"))?;
        Ok(Arc::new(Self { dir, group, anchor, watchdog, lifeline, started: AtomicU32::new(0) }))
    }

    /// The temporary folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A command that belongs to this sandbox: a member of its process group, with an environment of only `PATH`, `HOME` and
    /// `TMPDIR` (both in the temporary folder) and `LANG`, so that nothing of the user's configuration takes part.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .env("PATH", path())
            .env("HOME", self.dir.join("home"))
            .env("TMPDIR", &self.dir)
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null())
            .process_group(self.group);
        command
    }

    /// Starts `command` (made by [`Sandbox::command`]) with output and errors going to a log file named after `name`.
    pub fn spawn(self: &Arc<Self>, name: &str, mut command: Command) -> Result<Server> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let log = self.dir.join("logs").join(format!("{name}-{number}.log"));
        let file = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let child = command
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().to_string_lossy()))?;
        Ok(Server { name: name.to_owned(), pid: child.id(), log, child: Mutex::new(child), _sandbox: self.clone() })
    }

    /// The log files of all servers whose name begins with `prefix`, in the order of their start.
    pub fn logs(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.join("logs")).into_iter().flatten().flatten();
        let number = |path: &Path| path.file_stem()?.to_str()?.rsplit('-').next()?.parse::<u32>().ok();
        let mut logs: Vec<_> = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)).map(|entry| entry.path()).collect();
        logs.sort_by_key(|path| number(path));
        logs
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // Without a watchdog (somebody killed it) there would be nobody to clean up, so failures are not fatal but handled.
        if !self.watchdog.wait().is_ok_and(|status| status.success()) {
            if let Some(group) = Pid::from_raw(self.group) {
                let _ = rustix::process::kill_process_group(group, Signal::KILL);
            }
            let _ = fs::remove_dir_all(&self.dir);
        }
        let _ = self.anchor.wait();
    }
}

fn path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
}

/// A child process of a [`Sandbox`], killed when dropped.
#[derive(Debug)]
pub struct Server {
    name: String,
    pid: u32,
    log: PathBuf,
    child: Mutex<Child>,
    /// The folder must outlive those who write to it.
    _sandbox: Arc<Sandbox>,
}

impl Server {
    /// The process id. It stays ours until the process ended and was waited for.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The file that holds what the process wrote to standard output and standard error.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// What the process has written so far.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// How the process ended, or nothing while it runs.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.child().try_wait().ok().flatten()
    }

    /// Sends SIGKILL and waits for the end. Does nothing to a process that has ended.
    pub fn kill(&self) {
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Sends SIGTERM and waits for the end, for at most `patience`; then fails and leaves the process running.
    pub async fn terminate(&self, patience: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            if let Some(status) = self.exit_status() {
                return Ok(status);
            }
            if tokio::time::Instant::now() > deadline {
                return Err(anyhow!("{} did not end within {patience:?} after SIGTERM:\n{}", self.name, tail(&self.log(), 40)));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a signal, unless the process has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        // Holding the lock: as long as nobody has waited for the process, its number cannot belong to another.
        let mut child = self.child();
        if child.try_wait()?.is_none() {
            let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("process id out of range")?;
            rustix::process::kill_process(pid, signal)?;
        }
        Ok(())
    }

    /// Fails with the end of the log when the process has ended.
    pub fn ensure_running(&self) -> Result<()> {
        match self.exit_status() {
            None => Ok(()),
            Some(status) => Err(anyhow!("{} ended ({status}):\n{}", self.name, tail(&self.log(), 40))),
        }
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last `lines` lines of `text`.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
