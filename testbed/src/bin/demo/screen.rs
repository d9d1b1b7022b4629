//! How the demo looks: plain text that reads well anywhere, a little colour on a terminal, and no secret ever.

use std::io::{IsTerminal, Write};

/// How long a line of a command may be, in characters. An argument that is longer stays whole.
const WIDTH: usize = 110;

/// How many lines of a command's output are shown.
const LINES: usize = 12;

/// How many characters of a secret are shown.
const GLIMPSE: usize = 4;

/// The fields of AWS's answers that hold secrets.
const SECRET_FIELDS: [&str; 2] = ["SecretAccessKey", "SessionToken"];

/// Where the demo writes to: standard output.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    colour: bool,
}

impl Screen {
    /// Uses colour on a terminal, unless `NO_COLOR` is set (no-color.org).
    pub fn new() -> Self {
        Self { colour: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    /// The title of a step.
    pub fn heading(&self, title: &str) {
        self.write(&format!("\n{}", self.paint("1", &format!("== {title} "))));
    }

    /// A line of the story.
    pub fn text(&self, text: &str) {
        self.write(text);
    }

    /// A command, as a person types it.
    pub fn command(&self, command: &str) {
        self.write(&format!("  {}", self.paint("36", &format!("$ {}", wrap(command).join(" \\\n      ")))));
    }

    /// What a command says, shortened and without secrets.
    pub fn output(&self, output: &str) {
        for line in shorten(&redact(output)) {
            self.write(&format!("    {line}"));
        }
    }

    /// What a command is told not to show, such as a refusal in a program's own words, in full.
    pub fn details(&self, text: &str) {
        for line in redact(text).lines() {
            self.write(&format!("    | {line}"));
        }
    }

    /// A proof that held.
    pub fn pass(&self, claim: &str) {
        self.write(&format!("  {}  {claim}", self.paint("1;32", "PASS")));
    }

    /// A proof that did not hold.
    pub fn fail(&self, claim: &str) {
        self.write(&format!("  {}  {claim}", self.paint("1;31", "FAIL")));
    }

    /// What keeps the demo from going on: the cause first, then what was being done and what to do about it.
    pub fn failure(&self, error: &anyhow::Error) {
        self.write(&format!("\n{}", self.paint("1;31", "The demo cannot go on:")));
        let causes: Vec<_> = error.chain().collect();
        for cause in causes.iter().rev() {
            self.details(&cause.to_string());
        }
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn write(&self, text: &str) {
        // Whoever closes the pipe early (`make demo | head`) has seen enough; the proofs go on.
        let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
    }
}

/// The lines of a long command, broken before its options so that it can still be pasted into a shell.
fn wrap(command: &str) -> Vec<String> {
    let mut options = command.split(" --");
    let mut lines = vec![options.next().unwrap_or_default().to_owned()];
    for option in options {
        match lines.last_mut() {
            Some(line) if line.len() + option.len() < WIDTH => *line += &format!(" --{option}"),
            _ => lines.push(format!("--{option}")),
        }
    }
    lines
}

/// The first lines, and how many there are more.
fn shorten(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let mut shown: Vec<String> = lines.iter().take(LINES).map(|&line| line.to_owned()).collect();
    if lines.len() > LINES {
        shown.push(format!("... {} more lines", lines.len() - LINES));
    }
    shown
}

/// A secret that can be recognised and not used.
pub fn glimpse(secret: &str) -> String {
    let start: String = secret.chars().take(GLIMPSE).collect();
    format!("{start}...")
}

/// Cuts the secrets short that AWS's answers hold.
fn redact(text: &str) -> String {
    let hide = |line: &str| {
        SECRET_FIELDS.iter().find_map(|field| {
            let start = line.find(&format!("\"{field}\": \""))? + field.len() + 5;
            let end = start + line.get(start..)?.find('"')?;
            Some(format!("{}{}{}", &line[..start], glimpse(&line[start..end]), &line[end..]))
        })
    };
    text.lines().map(|line| hide(line).unwrap_or_else(|| line.to_owned())).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_an_answer_are_cut_short() {
        let answer = "{\n  \"AccessKeyId\": \"AKIAEXAMPLE\",\n  \"SecretAccessKey\": \"abcdefghij\",\n  \"SessionToken\": \"0123456789\"\n}";
        let shown = redact(answer);
        assert!(shown.contains("AKIAEXAMPLE") && shown.contains("\"abcd...\",") && shown.contains("\"0123...\"\n"), "{shown}");
        assert!(!shown.contains("efghij") && !shown.contains("456789"), "{shown}");
    }

    #[test]
    fn a_long_command_is_broken_between_its_options_and_nowhere_else() {
        let long = format!("aws --profile one iam create-role --document '{}' --output text", "x ".repeat(WIDTH));
        assert_eq!(wrap(&long).join(" "), long);
        assert_eq!(wrap(&long).len(), 3);
        assert_eq!(wrap("kubectl get car -A"), ["kubectl get car -A"]);
    }

    #[test]
    fn long_output_says_how_much_is_left_out() {
        let long = (1..=LINES + 3).map(|number| number.to_string()).collect::<Vec<_>>().join("\n");
        assert_eq!(shorten(&long).last().map(String::as_str), Some("... 3 more lines"));
        assert_eq!(shorten("one\ntwo\n"), ["one", "two"]);
    }
}
