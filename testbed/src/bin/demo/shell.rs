//! A person at a shell in the project's folder, with kubectl, Helm and the AWS CLI at hand.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use rolebridge_testbed::{Credentials, Sandbox, Testbed, Tool, command};

use crate::screen::{Screen, glimpse};

/// What a command has said.
#[derive(Debug)]
pub struct Answer {
    /// Whether its exit status was 0.
    pub success: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Answer {
    /// Everything that it has said.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// A shell with an environment of its own.
#[derive(Clone)]
pub struct Shell {
    screen: Screen,
    sandbox: Arc<Sandbox>,
    /// What a person has to export to go on in a shell of their own.
    environment: Vec<(String, String)>,
    /// The credentials that this shell alone has exported.
    session: Option<Credentials>,
    credentials_file: PathBuf,
}

impl Shell {
    /// A shell whose kubectl is the admin of the cluster and whose AWS CLI talks to the simulator, with profiles for keys that are yet to
    /// be made.
    pub async fn new(screen: Screen, testbed: &Testbed) -> Result<Self> {
        let home = testbed.dir().join("demo");
        let programs = home.join("bin");
        fs::create_dir_all(&programs)?;
        install(&programs, "kubectl", testbed.control_plane.kubectl_path())?;
        install(&programs, "helm", &Tool::Helm.path().await?)?;
        install(&programs, "aws", &Tool::AwsCli.path().await?)?;
        let credentials_file = home.join("credentials");
        fs::write(&credentials_file, "")?;
        fs::set_permissions(&credentials_file, fs::Permissions::from_mode(0o600))?;

        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
        let mut environment = vec![
            ("PATH".to_owned(), format!("{}:{path}", programs.display())),
            ("KUBECONFIG".to_owned(), testbed.control_plane.kubeconfig().display().to_string()),
            ("AWS_SHARED_CREDENTIALS_FILE".to_owned(), credentials_file.display().to_string()),
            // The user's own configuration takes no part.
            ("AWS_CONFIG_FILE".to_owned(), home.join("config").display().to_string()),
            ("AWS_PAGER".to_owned(), String::new()),
        ];
        environment.extend(testbed.aws.environment().into_iter().map(|(name, value)| (name.to_owned(), value)));
        let shell = Self { screen, sandbox: testbed.sandbox().clone(), environment, session: None, credentials_file };
        let exports: String = shell.environment.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
        fs::write(shell.environment_file(), exports)?;
        Ok(shell)
    }

    /// A file for a person to source, so that their own shell is like this one.
    pub fn environment_file(&self) -> PathBuf {
        self.credentials_file.with_file_name("environment")
    }

    /// Saves a key as a profile of the AWS CLI.
    pub fn save_profile(&self, profile: &str, key: &Credentials) -> Result<()> {
        let mut profiles = fs::read_to_string(&self.credentials_file)?;
        profiles += &format!("[{profile}]\naws_access_key_id = {}\naws_secret_access_key = {}\n\n", key.access_key_id, key.secret_access_key);
        fs::write(&self.credentials_file, profiles).context("saving a profile of the AWS CLI")
    }

    /// Shows how these credentials are exported, and returns a shell that has them.
    pub fn export(&self, session: Credentials) -> Self {
        self.screen.command(&format!("export AWS_ACCESS_KEY_ID={}", session.access_key_id));
        self.screen.command(&format!("export AWS_SECRET_ACCESS_KEY={}", glimpse(&session.secret_access_key)));
        self.screen.command(&format!("export AWS_SESSION_TOKEN={}", glimpse(session.session_token.as_deref().unwrap_or_default())));
        Self { session: Some(session), ..self.clone() }
    }

    /// Shows a command, runs it and shows what it says. Fails when it fails.
    pub async fn run(&self, line: &str) -> Result<String> {
        self.screen.command(line);
        let answer = self.ask(line).await?;
        self.screen.output(&answer.text());
        if !answer.success {
            bail!("`{line}` failed; what it said is above");
        }
        Ok(answer.stdout)
    }

    /// Runs a command and returns what it says, whatever its exit status is.
    pub async fn ask(&self, line: &str) -> Result<Answer> {
        let mut shell = self.sandbox.command("sh");
        shell.current_dir(project()).args(["-c", line]).envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(session) = &self.session {
            shell.env("AWS_ACCESS_KEY_ID", &session.access_key_id).env("AWS_SECRET_ACCESS_KEY", &session.secret_access_key);
            shell.envs(session.session_token.as_ref().map(|token| ("AWS_SESSION_TOKEN", token)));
        }
        let output = command::output(shell, None).await?;
        Ok(Answer {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// The project's folder: the commands name the files of the example as a person there would.
pub fn project() -> &'static Path {
    let testbed = Path::new(env!("CARGO_MANIFEST_DIR"));
    testbed.parent().unwrap_or(testbed)
}

/// Makes `program` callable by `name`, ahead of whatever else the machine has under that name.
fn install(folder: &Path, name: &str, program: &Path) -> Result<()> {
    let launcher = folder.join(name);
    fs::write(&launcher, format!("#!/bin/sh\nexec '{}' \"$@\"\n", program.display()))?;
    fs::set_permissions(&launcher, fs::Permissions::from_mode(0o755)).with_context(|| format!("installing {name}"))
}
