//! `rolebridge bootstrap`: what a person puts in place in AWS once, such as the management role of an account.

mod output;

use std::io::Write;

use anyhow::{Context, anyhow};

use self::output::Output;
use crate::core::bootstrap::{BoundaryPolicy, Group, ManagementRole, OperatorPolicy, Organization, Parameters, ServiceControlPolicy};
use crate::core::names::{AccountID, Arn, Partition, Path, PolicyName, RoleName};

/// What is to be printed. The same arguments may be given for each document: those that it has no use for do not count.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The document to print. Default: role.
    #[arg(long, value_enum, value_name = "DOCUMENT")]
    print: Option<Print>,

    /// The account to be managed.
    #[arg(long, value_name = "ID", required_unless_present = "print", required_if_eq_any = [("print", "role"), ("print", "operator")])]
    account_id: Option<AccountID>,

    /// The partition of the account.
    #[arg(long, default_value_t = Partition::aws())]
    partition: Partition,

    /// ARN of the user or role that the operator runs as. It must exist before the management role can name it.
    #[arg(long, value_name = "ARN", required_unless_present = "print",
        required_if_eq_any = [("print", "role"), ("print", "operator"), ("print", "boundary")])]
    operator_principal: Option<Arn>,

    /// What the operator has to present, once more in the AWSAccount. Default: a random one.
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,

    /// Name of the management role.
    #[arg(long, value_name = "NAME", default_value = "rolebridge")]
    role_name: RoleName,

    /// Name of the operator's own policy, for --print operator. It protects itself under this name only.
    #[arg(long, value_name = "NAME", default_value = "rolebridge-manage-iam")]
    policy_name: PolicyName,

    /// Limits the operator to users, roles and policies below this path, such as /rolebridge/; resources then set it as spec.path.
    #[arg(long, value_name = "PATH", default_value = "/")]
    path_prefix: Path,

    /// ARN of a policy that every user and role must have as permissions boundary; resources then set it as spec.permissionsBoundaryARN.
    #[arg(long, value_name = "ARN", required_if_eq("print", "boundary"))]
    permissions_boundary: Option<Arn>,

    /// Limits the operator to objects whose owner tags name this installation, as in `rolebridge run`. Default: those of any installation.
    #[arg(long, value_name = "ID", value_parser = super::connect::installation)]
    installation: Option<String>,

    /// A group that users may be put into, as NAME or /PATH/NAME, written as IAM shows it; once for each group that guardrails.allowedGroups of the AWSAccount
    /// means. Default: none.
    #[arg(long = "allowed-group", value_name = "GROUP")]
    allowed_groups: Vec<Group>,

    /// Who may still change what the service control policy protects: the ARN of a user or role, in which * stands for any characters, and for any account.
    /// May be repeated.
    #[arg(long = "administrator", value_name = "ARN", required_if_eq("print", "scp"))]
    administrators: Vec<String>,

    /// In which form.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

/// A document, or two that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Print {
    /// The management role that the operator assumes: its trust policy and its permissions policy.
    Role,
    /// The policy of the operator's own user or role, for the account in which that is, entered by spec.access.secretRef or ambient.
    Operator,
    /// The permissions boundary that --permissions-boundary names: all but administration of IAM and of accounts, and roles below the path.
    Boundary,
    /// A service control policy: only --administrator may change the management roles, the boundary and the operator in an organization.
    Scp,
}

/// A form of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One JSON object with the documents and the names that they have; of a role also what goes into spec.access of the AWSAccount.
    Json,
    /// A template for `aws cloudformation deploy`.
    Cloudformation,
}

/// Prints the document.
///
/// # Errors
/// What is wrong with the arguments, all at once; where the output cannot be written.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (format, is_new) = (arguments.format, arguments.external_id.is_none());
    let output = arguments.output()?;
    if let (Output::Role { external_id, .. }, true) = (&output, is_new) {
        // The output may go into a file and be forgotten; the next run would print another ID, and lock the operator out.
        eprintln!("The external ID is new: to print the same role again, add --external-id {external_id}");
    }
    let text = match format {
        Format::Json => output.json()?,
        Format::Cloudformation => output.template()?,
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

impl Arguments {
    fn output(self) -> anyhow::Result<Output> {
        let problems = |problems: Vec<String>| anyhow!(problems.join("\n"));
        match self.print.unwrap_or(Print::Role) {
            Print::Role => {
                let (name, external_id) = (self.role_name.clone(), self.external_id.clone().map_or_else(new_external_id, Ok)?);
                let role = ManagementRole::new(&self.parameters()?, &name, &external_id).map_err(problems)?;
                Ok(Output::Role { role, name, external_id })
            }
            Print::Operator => {
                let name = self.policy_name.clone();
                OperatorPolicy::new(&self.parameters()?, &name).map(Output::Operator).map_err(problems)
            }
            Print::Boundary => {
                let (arn, operator) = (given(self.permissions_boundary)?, given(self.operator_principal)?);
                let policy = BoundaryPolicy::new(&self.partition, &arn, &operator, &self.role_name, &self.path_prefix);
                policy.map(Output::Boundary).map_err(problems)
            }
            Print::Scp => {
                let organization = Organization {
                    partition: self.partition,
                    management_role: self.role_name,
                    operator: self.operator_principal,
                    permissions_boundary: self.permissions_boundary,
                    path_prefix: self.path_prefix,
                    administrators: self.administrators,
                };
                ServiceControlPolicy::new(&organization).map(Output::ServiceControl).map_err(problems)
            }
        }
    }

    fn parameters(self) -> anyhow::Result<Parameters> {
        Ok(Parameters {
            account: given(self.account_id)?,
            partition: self.partition,
            operator: given(self.operator_principal)?,
            path_prefix: self.path_prefix,
            permissions_boundary: self.permissions_boundary,
            installation: self.installation,
            allowed_groups: self.allowed_groups,
        })
    }
}

/// What clap has asked for already.
fn given<T>(argument: Option<T>) -> anyhow::Result<T> {
    argument.context("this document needs more arguments: see --help")
}

/// 128 random bits. An external ID is no secret, but nobody is to come upon it who was not told.
fn new_external_id() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| anyhow!("the system gives no random numbers: choose an --external-id"))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::Value;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    const OPERATOR: &str = "--operator-principal=arn:aws:iam::111111111111:user/people/operator";
    const BOUNDARY: &str = "--permissions-boundary=arn:aws:iam::111111111111:policy/base/boundary";
    const ADMINISTRATOR: &str = "--administrator=arn:aws:iam::*:role/org-admin";

    /// All arguments that some document needs.
    fn arguments(more: &[&str]) -> Arguments {
        let line = ["bootstrap", "--account-id=111111111111", OPERATOR, BOUNDARY, ADMINISTRATOR];
        Line::parse_from(line.iter().chain(more)).arguments
    }

    /// What is printed, as JSON and as a template.
    fn printed(more: &[&str]) -> [Value; 2] {
        let output = arguments(more).output().unwrap();
        [output.json().unwrap(), output.template().unwrap()].map(|text| serde_json::from_str(&text).unwrap())
    }

    /// The template's only resource.
    fn resource<'t>(template: &'t Value, name: &str, type_: &str) -> &'t Value {
        let resources = template["Resources"].as_object().unwrap();
        assert_eq!(resources.keys().collect::<Vec<_>>(), [name]);
        assert_eq!(resources[name]["Type"], type_);
        &resources[name]["Properties"]
    }

    #[test]
    fn an_external_id_is_made_where_none_is_given_and_never_twice() {
        let id = |more: &[&str]| match arguments(more).output().unwrap() {
            Output::Role { external_id, .. } => external_id,
            _ => panic!("no role"),
        };
        let (one, other) = (id(&[]), id(&["--print=role"]));
        assert_ne!(one, other);
        assert_eq!(one.len(), 32);
        assert_eq!(id(&["--external-id=mine"]), "mine");
    }

    #[test]
    fn each_document_asks_for_what_it_needs_and_for_nothing_else() {
        for (document, needed) in [
            ("role", ["--account-id=111111111111", OPERATOR].as_slice()),
            ("operator", &["--account-id=111111111111", OPERATOR]),
            ("boundary", &[OPERATOR, BOUNDARY]),
            ("scp", &[ADMINISTRATOR]),
        ] {
            let print = format!("--print={document}");
            let line = ["bootstrap", &print];
            Line::try_parse_from(line.iter().chain(needed)).unwrap().arguments.output().unwrap();
            for missing in needed {
                let error = Line::try_parse_from(line.iter().chain(needed.iter().filter(|argument| *argument != missing))).unwrap_err();
                assert!(error.to_string().contains(missing.split('=').next().unwrap()), "{error}");
            }
        }
        let error = Line::try_parse_from(["bootstrap"]).unwrap_err().to_string();
        assert!(error.contains("--account-id") && error.contains("--operator-principal") && !error.contains("--administrator"), "{error}");
    }

    #[test]
    fn of_a_role_json_holds_both_documents_and_the_access_of_the_resource_and_the_template_makes_the_same() {
        let [json, template] = printed(&["--external-id=mine", "--role-name=manager", "--path-prefix=/rolebridge/"]);
        assert_eq!(json["roleName"], "manager");
        let access: crate::api::account::Access = serde_json::from_value(json["access"].clone()).unwrap();
        let assumed = access.assume_role.unwrap();
        assert_eq!((assumed.role_arn.as_str(), assumed.external_id.as_deref()), ("arn:aws:iam::111111111111:role/manager", Some("mine")));
        let made = resource(&template, "ManagementRole", "AWS::IAM::Role");
        assert_eq!(made["RoleName"], "manager");
        assert_eq!((&made["AssumeRolePolicyDocument"], &made["Policies"][0]["PolicyDocument"]), (&json["trustPolicy"], &json["permissionsPolicy"]));
        assert!(json["trustPolicy"]["Statement"][0].is_object() && json["permissionsPolicy"].to_string().contains("/rolebridge/"));
        assert_eq!(template["Outputs"]["ExternalID"]["Value"], "mine");
    }

    #[test]
    fn the_operators_policy_goes_to_its_user_or_role() {
        let [json, template] = printed(&["--print=operator", "--policy-name=mine"]);
        assert_eq!((&json["policyName"], &json["path"]), (&"mine".into(), &"/".into()));
        assert_eq!(json["policyARN"], "arn:aws:iam::111111111111:policy/mine");
        let made = resource(&template, "OperatorPolicy", "AWS::IAM::ManagedPolicy");
        assert_eq!(
            (&made["ManagedPolicyName"], &made["Path"], &made["PolicyDocument"]),
            (&json["policyName"], &json["path"], &json["policyDocument"])
        );
        assert_eq!((&made["Users"], &made["Roles"]), (&serde_json::json!(["operator"]), &Value::Null));

        let line = ["bootstrap", "--print=operator", "--account-id=111111111111", "--operator-principal=arn:aws:iam::111111111111:role/operator"];
        let template: Value = serde_json::from_str(&Line::parse_from(line).arguments.output().unwrap().template().unwrap()).unwrap();
        let made = resource(&template, "OperatorPolicy", "AWS::IAM::ManagedPolicy");
        assert_eq!((&made["Users"], &made["Roles"]), (&Value::Null, &serde_json::json!(["operator"])));
    }

    #[test]
    fn the_boundary_has_the_name_and_path_by_which_it_is_forced() {
        let [json, template] = printed(&["--print=boundary"]);
        assert_eq!((&json["policyName"], &json["path"]), (&"boundary".into(), &"/base/".into()));
        assert_eq!(json["policyARN"], "arn:aws:iam::111111111111:policy/base/boundary");
        let made = resource(&template, "PermissionsBoundary", "AWS::IAM::ManagedPolicy");
        assert_eq!(
            (&made["ManagedPolicyName"], &made["Path"], &made["PolicyDocument"]),
            (&json["policyName"], &json["path"], &json["policyDocument"])
        );
        assert_eq!(json["policyDocument"]["Statement"][0]["Effect"], "Allow");
    }

    #[test]
    fn the_service_control_policy_is_one_of_the_organization() {
        let [json, template] = printed(&["--print=scp"]);
        let made = resource(&template, "ServiceControlPolicy", "AWS::Organizations::Policy");
        assert_eq!(
            (&made["Type"], &made["Name"], &made["Content"]),
            (&"SERVICE_CONTROL_POLICY".into(), &json["policyName"], &json["policyDocument"])
        );
        assert!(json["policyDocument"].to_string().contains("arn:aws:iam::*:role/org-admin"));
        assert_eq!((&json["policyARN"], &json["path"]), (&Value::Null, &Value::Null));
    }
}
