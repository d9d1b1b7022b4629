//! The binary: installs the TLS provider, reads the arguments and hands over.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // kube and the AWS SDK are built with the same provider; installing it first keeps either from choosing another.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("error: another TLS provider is installed already");
        return ExitCode::FAILURE;
    }
    match rolebridge::cli::Arguments::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
