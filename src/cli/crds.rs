//! `rolebridge crds`: the CustomResourceDefinitions as YAML.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;

/// Where the CustomResourceDefinitions go.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Write one file for each kind into this directory, instead of printing all of them.
    #[arg(long, value_name = "DIRECTORY")]
    output_directory: Option<PathBuf>,
}

/// Prints or writes the CustomResourceDefinitions.
///
/// # Errors
/// Where the output cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    for crd in crate::api::crds()? {
        let yaml = serde_saphyr::to_string(&crd)?;
        match &arguments.output_directory {
            Some(directory) => {
                let path = directory.join(format!("{}.yaml", crd.spec.names.plural));
                std::fs::write(&path, yaml).with_context(|| format!("cannot write {}", path.display()))?;
            }
            None => write!(std::io::stdout(), "---\n{yaml}")?,
        }
    }
    Ok(())
}
