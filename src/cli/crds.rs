//! `rolebridge crds`: the CustomResourceDefinitions, and the policies that protect them and the resources, as YAML.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;

/// Where they go.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Write one file for each object into this directory, instead of printing all of them.
    #[arg(long, value_name = "DIRECTORY")]
    output_directory: Option<PathBuf>,
}

/// Prints or writes the CustomResourceDefinitions and the policies that protect them.
///
/// # Errors
/// Where the output cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    for (file, object) in crate::api::installation_files()? {
        let yaml = serde_saphyr::to_string(&object)?;
        match &arguments.output_directory {
            Some(directory) => {
                let path = directory.join(file);
                std::fs::write(&path, yaml).with_context(|| format!("cannot write {}", path.display()))?;
            }
            None => write!(std::io::stdout(), "---\n{yaml}")?,
        }
    }
    Ok(())
}
