//! `rolebridge bootstrap`: the management role of an account, for a person to put in place.

use std::io::Write;

use anyhow::{anyhow, bail};
use serde::Serialize;
use serde_json::{Value, json};

use crate::core::bootstrap::{Group, ManagementRole, Parameters};
use crate::core::document::Document;
use crate::core::names::{AccountID, Arn, Partition, Path, RoleName};

/// What the management role is to be.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The account to be managed.
    #[arg(long, value_name = "ID")]
    account_id: AccountID,

    /// The partition of the account.
    #[arg(long, default_value_t = Partition::aws())]
    partition: Partition,

    /// ARN of the user or role that the operator runs as. It must exist before the management role can name it.
    #[arg(long, value_name = "ARN")]
    operator_principal: Arn,

    /// What the operator has to present, once more in the AWSAccount. Default: a random one.
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,

    /// Name of the management role.
    #[arg(long, value_name = "NAME", default_value = "rolebridge")]
    role_name: RoleName,

    /// Limits the role to users, roles and policies below this path, such as /rolebridge/; resources then set it as spec.path.
    #[arg(long, value_name = "PATH", default_value = "/")]
    path_prefix: Path,

    /// ARN of a policy that every user and role must have as permissions boundary; resources then set it as spec.permissionsBoundaryARN.
    #[arg(long, value_name = "ARN")]
    permissions_boundary: Option<Arn>,

    /// Limits the role to objects whose owner tags name this installation, as in `rolebridge run`. Default: those of any installation.
    #[arg(long, value_name = "ID", value_parser = super::connect::installation)]
    installation: Option<String>,

    /// A group that users may be put into, as NAME or /PATH/NAME, written as IAM shows it; once for each group that guardrails.allowedGroups of the AWSAccount
    /// means. Default: none.
    #[arg(long = "allowed-group", value_name = "GROUP")]
    allowed_groups: Vec<Group>,

    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

/// A form of the management role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The trust policy, the permissions policy and what goes into spec.access of the AWSAccount, as one JSON object.
    Json,
    /// A template for `aws cloudformation deploy`.
    Cloudformation,
}

/// What [`Format::Json`] prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Printed<'a> {
    role_name: &'a str,
    trust_policy: &'a Document,
    permissions_policy: &'a Document,
    /// As in an AWSAccount.
    access: Value,
}

/// What [`Format::Cloudformation`] prints.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Template<'a> {
    #[serde(rename = "AWSTemplateFormatVersion")]
    version: &'static str,
    description: String,
    resources: Resources<'a>,
    outputs: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Resources<'a> {
    management_role: Resource<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Resource<'a> {
    r#type: &'static str,
    properties: RoleProperties<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RoleProperties<'a> {
    role_name: &'a str,
    description: &'static str,
    assume_role_policy_document: &'a Document,
    policies: [InlinePolicy<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InlinePolicy<'a> {
    policy_name: &'static str,
    policy_document: &'a Document,
}

/// Prints the management role.
///
/// # Errors
/// What is wrong with the arguments, all at once; where the output cannot be written.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let format = arguments.format;
    let generated = arguments.external_id.is_none();
    let parameters = arguments.parameters()?;
    let role = match ManagementRole::new(&parameters) {
        Ok(role) => role,
        Err(problems) => bail!(problems.join("\n")),
    };
    if generated {
        // The output may go into a file and be forgotten; the next run would print another ID, and lock the operator out.
        eprintln!("The external ID is new: to print the same role again, add --external-id {}", parameters.external_id);
    }
    writeln!(std::io::stdout(), "{}", text(format, &parameters, &role)?)?;
    Ok(())
}

impl Arguments {
    fn parameters(self) -> anyhow::Result<Parameters> {
        Ok(Parameters {
            account: self.account_id,
            partition: self.partition,
            operator: self.operator_principal,
            external_id: self.external_id.map_or_else(new_external_id, Ok)?,
            role_name: self.role_name,
            path_prefix: self.path_prefix,
            permissions_boundary: self.permissions_boundary,
            installation: self.installation,
            allowed_groups: self.allowed_groups,
        })
    }
}

/// 128 random bits. An external ID is no secret, but nobody is to come upon it who was not told.
fn new_external_id() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| anyhow!("the system gives no random numbers: choose an --external-id"))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn text(format: Format, parameters: &Parameters, role: &ManagementRole) -> serde_json::Result<String> {
    let role_name = parameters.role_name.as_str();
    match format {
        Format::Json => serde_json::to_string_pretty(&Printed {
            role_name,
            trust_policy: &role.trust_policy,
            permissions_policy: &role.permissions_policy,
            access: json!({"assumeRole": {"roleARN": role.arn, "externalID": parameters.external_id}}),
        }),
        Format::Cloudformation => serde_json::to_string_pretty(&Template {
            version: "2010-09-09",
            description: format!("The role by which Rolebridge manages IAM in account {}", parameters.account),
            resources: Resources {
                management_role: Resource {
                    r#type: "AWS::IAM::Role",
                    properties: RoleProperties {
                        role_name,
                        description: "Assumed by the operator Rolebridge",
                        assume_role_policy_document: &role.trust_policy,
                        policies: [InlinePolicy { policy_name: "manage-iam", policy_document: &role.permissions_policy }],
                    },
                },
            },
            outputs: json!({
                "RoleARN": {"Description": "For spec.access.assumeRole.roleARN of the AWSAccount", "Value": {"Fn::GetAtt": ["ManagementRole", "Arn"]}},
                "ExternalID": {"Description": "For spec.access.assumeRole.externalID of the AWSAccount", "Value": parameters.external_id},
            }),
        }),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parameters(more: &[&str]) -> Parameters {
        let line = ["bootstrap", "--account-id=111111111111", "--operator-principal=arn:aws:iam::999999999999:role/operator"];
        Line::parse_from(line.iter().chain(more)).arguments.parameters().unwrap()
    }

    fn printed(format: Format, parameters: &Parameters) -> Value {
        let role = ManagementRole::new(parameters).unwrap();
        serde_json::from_str(&text(format, parameters, &role).unwrap()).unwrap()
    }

    #[test]
    fn an_external_id_is_made_where_none_is_given_and_never_twice() {
        let (one, other) = (parameters(&[]), parameters(&[]));
        assert_ne!(one.external_id, other.external_id);
        assert_eq!(one.external_id.len(), 32);
        assert_eq!(parameters(&["--external-id=mine"]).external_id, "mine");
    }

    #[test]
    fn json_holds_both_documents_and_the_access_of_the_resource() {
        let parameters = parameters(&["--external-id=mine", "--role-name=manager"]);
        let role = ManagementRole::new(&parameters).unwrap();
        let found = printed(Format::Json, &parameters);
        assert_eq!(found["roleName"], "manager");
        assert_eq!(&found["trustPolicy"], role.trust_policy.as_value());
        assert_eq!(&found["permissionsPolicy"], role.permissions_policy.as_value());
        let access: crate::api::account::Access = serde_json::from_value(found["access"].clone()).unwrap();
        let assumed = access.assume_role.unwrap();
        assert_eq!((assumed.role_arn.as_str(), assumed.external_id.as_deref()), ("arn:aws:iam::111111111111:role/manager", Some("mine")));
    }

    #[test]
    fn the_template_makes_the_same_role() {
        let parameters = parameters(&["--external-id=mine", "--path-prefix=/rolebridge/"]);
        let role = ManagementRole::new(&parameters).unwrap();
        let found = printed(Format::Cloudformation, &parameters);
        let resource = &found["Resources"]["ManagementRole"];
        assert_eq!(resource["Type"], "AWS::IAM::Role");
        assert_eq!(&resource["Properties"]["AssumeRolePolicyDocument"], role.trust_policy.as_value());
        assert_eq!(&resource["Properties"]["Policies"][0]["PolicyDocument"], role.permissions_policy.as_value());
        assert_eq!(found["Outputs"]["ExternalID"]["Value"], "mine");
    }
}
