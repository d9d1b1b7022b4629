//! `rolebridge reference`: the reference of conditions as Markdown, from the table of reasons. It is for the project's own documentation.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::api::Reason;
use crate::api::conditions::{Class, condition_types};
use crate::core::outcome::aspect;

const HEAD: &str = "\
# Conditions
Made by `make generate` from the code that writes the conditions; do not edit it by hand.

Every resource has the condition `Ready`, which sums up. Its reason is one of the words below, and its message names the field, the value and what
to do.

| type | meaning | of |
|---|---|---|
";

const CLASSES: &str = "
`kubectl wait --for=condition=Ready` and tools that follow kstatus read these rightly: a resource is in progress while `Reconciling` is there, and
has failed while `Stalled` is there. What works and is worth knowing stands after `warning:` in the message of a `Ready` that is True.

Each reason has a class, which tells who has to do something:

| class | shown as | meaning |
|---|---|---|
";

const REASONS: &str = "
Of several problems `Ready` tells those of the most severe class. The column *condition* names the one that is False beside `Ready`, on users and
roles.

| reason | class | condition | meaning | what to do |
|---|---|---|---|---|
";

/// Prints the reference.
///
/// # Errors
/// Where the output cannot be written.
pub fn run() -> anyhow::Result<()> {
    write!(std::io::stdout(), "{}", conditions()?)?;
    Ok(())
}

/// The reference of conditions.
fn conditions() -> Result<String, std::fmt::Error> {
    let mut text = HEAD.to_owned();
    for kind in condition_types::ALL {
        writeln!(text, "| `{}` | {} | {} |", kind.name, kind.meaning, if kind.is_of_all { "all kinds" } else { "users and roles" })?;
    }
    text += CLASSES;
    for class in Class::ALL {
        let shown = match class {
            Class::Done => "`Ready` is True",
            Class::Waiting | Class::Transient => "`Reconciling`",
            Class::Stalled => "`Stalled`",
        };
        writeln!(text, "| {class:?} | {shown} | {} |", class.meaning())?;
    }
    text += REASONS;
    for reason in Reason::ALL.iter().copied() {
        let told = reason.describe();
        let condition = if told.class == Class::Done { "" } else { aspect(reason) };
        writeln!(text, "| `{reason}` | {:?} | {condition} | {} | {} |", told.class, told.meaning, told.fix)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_is_what_the_code_says() -> anyhow::Result<()> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/conditions.md");
        assert_eq!(std::fs::read_to_string(path)?, super::conditions()?, "run `make generate`");
        Ok(())
    }
}
