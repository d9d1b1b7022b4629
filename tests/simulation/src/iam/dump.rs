//! Objects as JSON, in the form of the AWS simulator's dump of its state: what reads one reads the other.

use std::collections::BTreeMap;

use rolebridge::core::action::Dependent;
use rolebridge::core::names::{Arn, PolicyName};
use serde_json::{Value, json};

use super::entity::{Dump, Group, Identity, Kind, OfRole, OfUser, Policy, Stored};
use std::sync::Arc;

impl Dump for Identity {
    fn dump(&self) -> Value {
        let mut value = json!({
            "path": self.path,
            "arn": self.arn,
            "tags": self.tags,
            "permissionsBoundary": self.boundary,
            "inlinePolicies": documents(&self.inline),
            "attachedPolicies": self.attached,
        });
        match &self.kind {
            Kind::User(user) => {
                value["userName"] = json!(self.name.as_str());
                value["userID"] = json!(self.id);
                of_user(&mut value, user);
            }
            Kind::Role(role) => {
                value["roleName"] = json!(self.name.as_str());
                value["roleID"] = json!(self.id);
                of_role(&mut value, role);
            }
        }
        value
    }
}

fn of_user(value: &mut Value, user: &OfUser) {
    let key = |dependent: &Dependent| match dependent {
        Dependent::AccessKey(id) => {
            let status = if user.inactive_keys.contains(id) { "Inactive" } else { "Active" };
            Some(json!({"accessKeyID": id, "status": status}))
        }
        _ => None,
    };
    value["groups"] = json!(user.groups);
    value["hasLoginProfile"] = json!(user.belongings.contains(&Dependent::LoginProfile));
    value["accessKeys"] = user.belongings.iter().filter_map(key).collect();
}

fn of_role(value: &mut Value, role: &OfRole) {
    value["description"] = json!(role.description);
    value["maxSessionDuration"] = json!(role.max_session_duration);
    value["assumeRolePolicyDocument"] = (*role.trust.shown.value).clone();
    value["instanceProfiles"] = json!(role.instance_profiles);
}

impl Dump for Policy {
    fn dump(&self) -> Value {
        let versions: BTreeMap<String, &Value> = self.versions.iter().map(|(number, stored)| (format!("v{number}"), &*stored.value)).collect();
        json!({
            "policyName": self.name,
            "path": self.path,
            "arn": self.arn,
            "description": self.description,
            "tags": self.tags,
            "defaultVersionID": format!("v{}", self.default),
            "versions": versions,
        })
    }
}

impl Dump for Group {
    fn dump(&self) -> Value {
        json!({"groupName": self.name, "groupID": self.id, "arn": self.arn, "attachedPolicies": self.attached.iter().map(Arn::as_str).collect::<Vec<_>>()})
    }
}

fn documents(policies: &BTreeMap<PolicyName, Arc<Stored>>) -> Value {
    let policies: BTreeMap<&str, &Value> = policies.iter().map(|(name, stored)| (name.as_str(), &*stored.value)).collect();
    json!(policies)
}
