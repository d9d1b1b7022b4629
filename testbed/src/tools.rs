//! The binaries of the testbed, each built when first asked for, into a cache of the user's.
//!
//! An entry of the cache is named after a hash of what it was built from, so another clone finds it at once and a changed version is
//! built anew. An entry appears by a rename when it is complete, and a file lock keeps two processes from building it at once.

use std::{
    fs::{self, File, TryLockError},
    io::{ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use sha2::{Digest, Sha256};

/// The version that the control plane says it is. Its modules' version is in `controlplane/go.mod`.
const KUBERNETES_VERSION: &str = "v1.36.3";

/// A program that the testbed runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Tool {
    /// The store behind the API server.
    Etcd,
    /// The Kubernetes API server.
    KubeApiserver,
    /// Garbage collection, deletion of namespaces and the other controllers of Kubernetes.
    KubeControllerManager,
    /// The Kubernetes CLI.
    Kubectl,
    /// The Helm CLI.
    Helm,
    /// The simulator of IAM, STS and S3.
    AwsSim,
    /// The AWS CLI, version 1.
    AwsCli,
}

/// How a tool is made.
enum Recipe {
    /// `go build` of a package that a Go module in a folder of the testbed names as its tool.
    Go { module: &'static str, package: &'static str },
    /// `cargo build --release` of a workspace in a folder of the testbed.
    Cargo { workspace: &'static str },
    /// A Python virtual environment with what a requirements file in a folder of the testbed lists.
    Python { folder: &'static str, module: &'static str },
}

impl Tool {
    /// All tools, those that take longest first.
    pub const ALL: [Self; 7] = [Self::KubeApiserver, Self::AwsSim, Self::Helm, Self::KubeControllerManager, Self::Kubectl, Self::Etcd, Self::AwsCli];

    /// The file name of the program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::Kubectl => "kubectl",
            Self::Helm => "helm",
            Self::AwsSim => "rolebridge-aws-sim",
            Self::AwsCli => "awscli",
        }
    }

    fn recipe(self) -> Recipe {
        let control_plane = |package| Recipe::Go { module: "controlplane", package };
        match self {
            Self::Etcd => control_plane("go.etcd.io/etcd/server/v3"),
            Self::KubeApiserver => control_plane("k8s.io/kubernetes/cmd/kube-apiserver"),
            Self::KubeControllerManager => control_plane("k8s.io/kubernetes/cmd/kube-controller-manager"),
            Self::Kubectl => control_plane("k8s.io/kubernetes/cmd/kubectl"),
            Self::Helm => Recipe::Go { module: "helm", package: "helm.sh/helm/v4/cmd/helm" },
            Self::AwsSim => Recipe::Cargo { workspace: "aws" },
            Self::AwsCli => Recipe::Python { folder: "awscli", module: "awscli" },
        }
    }

    /// How long the build takes on 2 cores with an empty cache, for the progress message.
    fn expected_duration(self) -> &'static str {
        match self {
            Self::KubeApiserver => "3 minutes",
            Self::AwsSim | Self::Helm => "2 minutes",
            Self::KubeControllerManager => "a minute",
            Self::Etcd | Self::Kubectl | Self::AwsCli => "half a minute",
        }
    }

    /// The path of the program, which is built before where the cache does not have it. What is missing for a build is named in
    /// the error.
    pub async fn path(self) -> Result<PathBuf> {
        tokio::task::spawn_blocking(move || self.prepare()).await?
    }

    /// As [`Tool::path`], blocking the thread.
    pub fn prepare(self) -> Result<PathBuf> {
        if let Some(path) = self.kubebuilder_asset() {
            return Ok(path);
        }
        let name = self.name();
        let recipe = self.recipe();
        let cache = cache_dir()?;
        let entry = cache.join(format!("{name}-{}", recipe.key()?));
        let program = entry.join(name);
        if program.is_file() {
            return Ok(program);
        }
        fs::create_dir_all(&cache).with_context(|| format!("creating the cache {}", cache.display()))?;
        let _lock = lock(&cache.join(format!("{name}.lock")), name)?;
        if program.is_file() {
            return Ok(program);
        }
        progress(&format!("building {name} (once, about {} on 2 cores) ...", self.expected_duration()));
        let start = Instant::now();
        recipe.build(&cache, &entry, name).with_context(|| format!("building {name} for the testbed"))?;
        progress(&format!("built {name} in {} s", start.elapsed().as_secs()));
        Ok(program)
    }

    /// `KUBEBUILDER_ASSETS` is the folder that Kubernetes' own test environments take their binaries from.
    fn kubebuilder_asset(self) -> Option<PathBuf> {
        if !matches!(self, Self::Etcd | Self::KubeApiserver | Self::Kubectl) {
            return None;
        }
        let path = Path::new(&std::env::var_os("KUBEBUILDER_ASSETS")?).join(self.name());
        path.is_file().then_some(path)
    }
}

impl Recipe {
    fn folder(&self) -> PathBuf {
        let (Self::Go { module: folder, .. } | Self::Cargo { workspace: folder } | Self::Python { folder, .. }) = self;
        Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
    }

    /// A hash of everything that decides what the build gives.
    fn key(&self) -> Result<String> {
        let folder = self.folder();
        let mut hash = Sha256::new();
        hash.update(format!("{}/{}/{KUBERNETES_VERSION}", std::env::consts::OS, std::env::consts::ARCH));
        let files = match self {
            Self::Go { package, .. } => {
                hash.update(package);
                vec![folder.join("go.mod"), folder.join("go.sum")]
            }
            Self::Python { .. } => vec![folder.join("requirements.txt")],
            Self::Cargo { .. } => source_files(&folder)?,
        };
        for file in files {
            let content = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
            hash.update(file.strip_prefix(&folder)?.as_os_str().as_encoded_bytes());
            hash.update(content.len().to_le_bytes());
            hash.update(content);
        }
        Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }

    fn build(&self, cache: &Path, entry: &Path, name: &str) -> Result<()> {
        let folder = self.folder();
        match self {
            Self::Go { package, .. } => publish(entry, name, |to| {
                let version = format!("-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}");
                // A vendor folder or a workspace of the user's must not change what is built.
                let mut go = Command::new("go");
                go.current_dir(&folder).env("GOWORK", "off");
                go.args(["build", "-mod=readonly", "-trimpath", "-ldflags", &version, "-o"]).arg(to).arg(package);
                build_command(go, "Go 1.26 or newer, from https://go.dev/dl")
            }),
            Self::Cargo { .. } => {
                // What it depends on is shared between versions of the source. It itself is compiled again: cargo goes by the age of files, and takes what
                // another clone has built from other ones for fresh.
                let target = cache.join("target");
                for what in [["clean", "--package"], ["build", "--bin"]] {
                    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
                    cargo.current_dir(&folder).env_remove("CARGO_BUILD_TARGET");
                    cargo.args(what).args([name, "--release", "--locked", "--target-dir"]).arg(&target);
                    build_command(cargo, "Rust, from https://rustup.rs, and a C compiler (`cc`)")?;
                }
                publish(entry, name, |to| fs::copy(target.join("release").join(name), to).map(drop).context("copying the binary"))
            }
            Self::Python { module, .. } => {
                // A virtual environment cannot be moved, so it is made in place; its launcher appears when all else is there.
                if entry.exists() {
                    fs::remove_dir_all(entry).with_context(|| format!("removing the unfinished {}", entry.display()))?;
                }
                let mut venv = Command::new("python3");
                venv.args(["-m", "venv"]).arg(entry);
                build_command(venv, "Python 3.10 or newer with its venv module (on Debian and Ubuntu the package python3-venv)")?;
                let mut pip = Command::new(entry.join("bin/python"));
                pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
                pip.arg(folder.join("requirements.txt"));
                build_command(pip, "pip and access to a Python package index")?;
                publish(entry, name, |to| {
                    fs::write(to, format!("#!/bin/sh\nexec \"$(dirname \"$0\")/bin/python\" -m {module} \"$@\"\n"))?;
                    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).context("making the launcher executable")
                })
            }
        }
    }
}

/// Lets `make` write a file, and gives it its `name` in `folder` only when it is complete.
fn publish(folder: &Path, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let unfinished = folder.join(format!(".{name}.unfinished"));
    // What a build that was killed has left would make `go build` refuse to write there.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(|| format!("removing {}", unfinished.display())),
        _ => {}
    }
    make(&unfinished)?;
    fs::rename(&unfinished, folder.join(name)).with_context(|| format!("renaming {}", unfinished.display()))
}

/// Runs a build with the user's own environment (proxies, registries, toolchains), its output on our standard error.
fn build_command(mut command: Command, needs: &str) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    // Standard output is for those who call us; what a compiler says belongs to the progress.
    command.stdin(Stdio::null()).stdout(Stdio::from(std::io::stderr()));
    let status = match command.status() {
        Ok(status) => status,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("`{program}` is not installed or not in PATH: it takes {needs}")
        }
        Err(error) => return Err(error).with_context(|| format!("starting `{program}`")),
    };
    if !status.success() {
        bail!("`{program}` failed ({status}); its output is above. It takes {needs}");
    }
    Ok(())
}

/// Tells whoever waits what is going on. Written directly, since the test harness swallows what the print macros write.
fn progress(message: &str) {
    let _ = writeln!(std::io::stderr(), "testbed: {message}");
}

/// The files of a cargo workspace that decide what is built: all but hidden ones, tests and build output, in a fixed order.
fn source_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            if name == "target" || name == "tests" || name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Takes the lock on `path`, which the file gives back when it is closed, and says so when it has to wait.
fn lock(path: &Path, name: &str) -> Result<File> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress(&format!("waiting for another process that is building {name} ..."));
            file.lock().with_context(|| format!("locking {}", path.display()))?;
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("locking {}", path.display()));
        }
    }
    Ok(file)
}

/// `ROLEBRIDGE_TESTBED_CACHE`, or `~/.cache/rolebridge-testbed`.
pub fn cache_dir() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("ROLEBRIDGE_TESTBED_CACHE").filter(|dir| !dir.is_empty()) {
        return std::path::absolute(dir).context("ROLEBRIDGE_TESTBED_CACHE");
    }
    let home = std::env::home_dir().context("no home directory: set ROLEBRIDGE_TESTBED_CACHE to a folder for what the testbed builds")?;
    Ok(home.join(".cache/rolebridge-testbed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_work_is_never_published() -> Result<()> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join(".tool.unfinished"), "left by a build that was killed")?;
        let failed = publish(folder.path(), "tool", |to| {
            fs::write(to, "half")?;
            bail!("the build failed")
        });
        assert!(failed.is_err());
        assert!(!folder.path().join("tool").exists());

        publish(folder.path(), "tool", |to| {
            assert!(!to.exists(), "what was left is removed first");
            Ok(fs::write(to, "whole")?)
        })?;
        assert_eq!(fs::read_to_string(folder.path().join("tool"))?, "whole");
        Ok(())
    }

    #[test]
    fn what_a_build_misses_is_named() -> Result<()> {
        let missing = build_command(Command::new("rolebridge-no-such-compiler"), "Such, from example.com").err().context("built")?;
        let message = format!("{missing:#}");
        assert!(message.contains("`rolebridge-no-such-compiler` is not installed") && message.contains("Such, from example.com"), "{message}");
        Ok(())
    }

    #[test]
    fn sources_are_all_files_that_decide_the_build_in_a_fixed_order() -> Result<()> {
        let folder = tempfile::tempdir()?;
        for file in ["src/b.rs", "src/a/mod.rs", "Cargo.toml", "target/debug/x", ".git/x", "tests/x.rs"] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().context("no parent")?)?;
            fs::write(path, "")?;
        }
        let files = source_files(folder.path())?;
        let names: Vec<_> = files.iter().filter_map(|file| file.strip_prefix(folder.path()).ok()?.to_str()).collect();
        assert_eq!(names, ["Cargo.toml", "src/a/mod.rs", "src/b.rs"]);
        Ok(())
    }
}
