//! The command line: raw arguments in, results out. Each command is one module.

mod bootstrap;
mod connect;
mod crds;
mod reference;
mod release;
mod run;

use clap::{Parser, Subcommand};

/// Manages cross-account AWS access the bastion way, from Kubernetes resources.
///
/// Users live in one bastion account; every other account has roles that they assume. A grant needs two halves, a trust policy on the
/// role and an assume policy on the user, in two accounts. Rolebridge writes both from one declaration, and keeps them equal to it.
#[derive(Debug, Parser)]
#[command(name = "rolebridge", version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controller, in a cluster or with the current kubeconfig.
    Run(run::Arguments),
    /// Print what is put in place in AWS once: the management role of an account, and the policies that protect it.
    Bootstrap(bootstrap::Arguments),
    /// Hand everything back before Rolebridge is uninstalled: owner tags off in AWS, finalizers off in the cluster, and nothing else touched. Stop the operator
    /// first. Users, roles, policies and trust stay in AWS as they are; the resources can then be deleted without anything happening there. It can be broken off
    /// and run again at any point. The exit status is 0 only if all was handed back.
    Release(release::Arguments),
    /// Print the CustomResourceDefinitions, and a policy that protects them, as YAML for kubectl apply.
    Crds(crds::Arguments),
    /// Print the reference of conditions as Markdown, for the documentation of Rolebridge itself.
    #[command(hide = true)]
    Reference,
}

impl Arguments {
    /// Carries out the command.
    ///
    /// # Errors
    /// What the command ends with, to be shown to a person.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run(arguments) => run::run(arguments),
            Command::Bootstrap(arguments) => bootstrap::run(arguments),
            Command::Release(arguments) => release::run(arguments),
            Command::Crds(arguments) => crds::run(&arguments),
            Command::Reference => reference::run(),
        }
    }
}
