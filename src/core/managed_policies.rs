//! The policies that AWS manages, by name. They are asked only once IAM has said that there is none as it was written: consoles and documentation leave out
//! the folder that a policy is in.
//!
//! `managed_policies/names.txt` has what IAM listed in May 2026 (`aws iam list-policies --scope AWS`), with folders. AWS adds some every week, so a name that is
//! not in it may be right all the same.

use super::names::Partition;
use super::spelling::distance_with_swaps;

const NAMES: &str = include_str!("managed_policies/names.txt");
/// The folder of the policies that AWS attaches to its service-linked roles, and nobody else may attach.
const FOR_SERVICES: &str = "aws-service-role";

/// What to write for a policy of AWS that IAM does not know by `name`, the folder included. `written` tells how a name is written in the field.
pub fn advice(partition: &Partition, name: &str, written: impl Fn(&str) -> String) -> String {
    const REFERENCE: &str = "look up its name, and the folder that it may be in, in AWS's managed policy reference";
    let (folder, bare) = parts(name);
    match NAMES.lines().find(|known| parts(known).1.eq_ignore_ascii_case(bare)) {
        Some(known) if known == name && partition.as_str() == "aws" => format!("AWS has withdrawn it; {REFERENCE}"),
        Some(known) if known == name => format!("AWS has it in partition aws, and none of this name in {partition}; {REFERENCE}"),
        Some(known) => match parts(known).0 {
            FOR_SERVICES => "AWS keeps the policy of this name for its own service roles: take it out".to_owned(),
            there if there == folder => format!("names are told apart by case: write {}", written(known)),
            "" => format!("AWS's policy of this name is in no folder: write {}", written(known)),
            _ => format!("AWS's policy of this name is in a folder: write {}", written(known)),
        },
        None => match nearest(bare) {
            Some(known) => format!("did you mean {}?", written(known)),
            None if folder.is_empty() && bare.ends_with("Role") => {
                let likely = written(&format!("service-role/{bare}"));
                format!("most of AWS's policies with such names are in a folder: try {likely}, or {REFERENCE}")
            }
            None => REFERENCE.to_owned(),
        },
    }
}

/// The folder of a policy, which may be none, and its name.
fn parts(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

/// The policy that may have been meant by a name with a slip or two in it.
fn nearest(bare: &str) -> Option<&'static str> {
    let slips = if bare.len() < 8 { 1 } else { 2 };
    let bare = bare.to_ascii_lowercase();
    let may_be_meant = |known: &&str| parts(known).0 != FOR_SERVICES && parts(known).1.len().abs_diff(bare.len()) <= slips;
    let known = NAMES.lines().filter(may_be_meant).map(|known| (distance_with_swaps(&bare, &parts(known).1.to_ascii_lowercase()), known));
    known.filter(|(distance, _)| *distance <= slips).min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Arn;

    fn said(name: &str) -> String {
        advice(&Partition::aws(), name, str::to_owned)
    }

    #[test]
    fn the_list_has_names_that_iam_takes_once_each() {
        assert!(NAMES.lines().count() > 1400);
        let mut bare: Vec<String> = NAMES.lines().map(|name| parts(name).1.to_ascii_lowercase()).collect();
        bare.sort_unstable();
        assert!(bare.windows(2).all(|pair| pair[0] != pair[1]));
        for name in NAMES.lines() {
            Arn::aws_managed_policy(&Partition::aws(), name).unwrap();
        }
    }

    #[test]
    fn a_folder_that_is_left_out_or_wrong_is_told() {
        for (name, right) in [
            ("AWSLambdaBasicExecutionRole", "is in a folder: write service-role/AWSLambdaBasicExecutionRole"),
            ("job-function/AWSLambdaRole", "is in a folder: write service-role/AWSLambdaRole"),
            ("ViewOnlyAccess", "write job-function/ViewOnlyAccess"),
            ("service-role/ReadOnlyAccess", "is in no folder: write ReadOnlyAccess"),
            ("readonlyaccess", "by case: write ReadOnlyAccess"),
            ("AmazonECSServiceRolePolicy", "for its own service roles: take it out"),
        ] {
            assert!(said(name).ends_with(right), "{name}: {}", said(name));
        }
        let arn = advice(&Partition::aws(), "ViewOnlyAccess", |name| format!("arn:aws:iam::aws:policy/{name}"));
        assert!(arn.ends_with("write arn:aws:iam::aws:policy/job-function/ViewOnlyAccess"), "{arn}");
    }

    #[test]
    fn slips_are_told_and_names_that_are_nobodys_are_looked_up() {
        for (name, right) in [
            ("ReadOnlyAcces", "did you mean ReadOnlyAccess?"),
            ("AdminstratorAccess", "did you mean AdministratorAccess?"),
            ("AWSLambdaBasicExecutoinRole", "did you mean service-role/AWSLambdaBasicExecutionRole?"),
        ] {
            assert_eq!(said(name), right, "{name}");
        }
        assert!(said("MyOwnThings").starts_with("look up its name"), "{}", said("MyOwnThings"));
        assert!(said("AWSBrandNewServiceForYouRole").contains("try service-role/AWSBrandNewServiceForYouRole"));
        assert!(!said("ReadOnly").contains("did you mean"), "{}", said("ReadOnly"));
    }

    #[test]
    fn a_name_that_is_right_elsewhere_is_told_as_that() {
        let china = advice(&"aws-cn".parse().unwrap(), "ReadOnlyAccess", str::to_owned);
        assert!(china.starts_with("AWS has it in partition aws, and none of this name in aws-cn"), "{china}");
        assert!(said("ReadOnlyAccess").starts_with("AWS has withdrawn it"), "{}", said("ReadOnlyAccess"));
    }

    #[test]
    fn a_swap_of_two_characters_is_one_slip() {
        for (from, to, slips) in [("abc", "abc", 0), ("abc", "acb", 1), ("abc", "ab", 1), ("", "ab", 2), ("kitten", "sitting", 3)] {
            assert_eq!(distance_with_swaps(from, to), slips, "{from} {to}");
        }
    }
}
