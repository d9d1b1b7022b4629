//! Everything in one sandbox: the control plane, the AWS simulator and any number of operators.

use std::{fs, future::Future, path::Path, sync::Arc};

use anyhow::{Context, Result};

use crate::{
    aws_sim::AwsSim,
    command::{run, run_with_input},
    control_plane::{ControlPlane, ControlPlaneOptions},
    operator::Operator,
    sandbox::{Sandbox, tail},
    wait::{self, Seen},
};

/// How many lines of each operator's log an error shows.
const LOG_LINES: usize = 60;

/// What a testbed consists of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TestbedOptions {
    /// See [`ControlPlaneOptions::controller_manager`].
    pub controller_manager: bool,
}

/// A control plane and an AWS simulator in one sandbox. All that runs in it ends when it is dropped.
#[derive(Debug)]
pub struct Testbed {
    /// Kubernetes.
    pub control_plane: ControlPlane,
    /// AWS, without accounts at first.
    pub aws: AwsSim,
    sandbox: Arc<Sandbox>,
}

impl Testbed {
    /// Starts both and waits until they are ready.
    pub async fn start(options: TestbedOptions) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        let (control_plane, aws) = tokio::try_join!(
            ControlPlane::start_in(sandbox.clone(), ControlPlaneOptions { controller_manager: options.controller_manager }),
            AwsSim::start_in(sandbox.clone()),
        )?;
        Ok(Self { control_plane, aws, sandbox })
    }

    /// The sandbox, for further processes and files.
    pub fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }

    /// The temporary folder; what is in it goes with the testbed.
    pub fn dir(&self) -> &Path {
        self.sandbox.dir()
    }

    /// `kubectl apply -f -` with `manifest`, as admin. Returns what kubectl says.
    pub async fn kubectl_apply(&self, manifest: &str) -> Result<String> {
        let mut command = self.control_plane.kubectl();
        command.args(["apply", "--filename", "-"]);
        run_with_input(command, Some(manifest)).await
    }

    /// kubectl with these arguments, as admin. Returns its standard output.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        let mut command = self.control_plane.kubectl();
        command.args(args);
        run(command).await
    }

    /// Starts an operator; see [`Operator::start`]. The simulator's endpoint and region are in its environment, `env` comes after.
    pub fn operator<K: AsRef<str>, V: AsRef<str>>(&self, binary: &Path, kubeconfig: &Path, env: &[(K, V)], args: &[&str]) -> Result<Operator> {
        let given = env.iter().map(|(name, value)| (name.as_ref().to_owned(), value.as_ref().to_owned()));
        let environment: Vec<_> = self.aws.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).chain(given).collect();
        Operator::start(&self.sandbox, binary, kubeconfig, &environment, args)
    }

    /// As [`wait_for`](crate::wait_for); the error also shows the end of every operator's log.
    pub async fn wait_for<T, F, P>(&self, what: &str, probe: P) -> Result<T>
    where
        F: Future<Output = Result<Seen<T>>>,
        P: FnMut() -> F,
    {
        self.explain(wait::wait_for(what, probe).await)
    }

    /// Adds the end of every operator's log to an error.
    pub fn explain<T>(&self, result: Result<T>) -> Result<T> {
        result.with_context(|| self.operator_logs())
    }

    /// The end of every operator's log, those that have ended included.
    pub fn operator_logs(&self) -> String {
        let logs = self.sandbox.logs("operator");
        let show = |path: &Path| {
            let log = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
            format!("--- {} ---\n{}\n", path.file_name().unwrap_or_default().to_string_lossy(), tail(&log, LOG_LINES))
        };
        logs.iter().map(|path| show(path)).collect()
    }
}
