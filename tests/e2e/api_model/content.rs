//! What the objects of the comparison have in them, drawn by chance. All of it is valid: rules are not what is compared.

use serde_json::{Value, json};

use super::compare::PAST;
use super::kinds::Kind;
use super::operations::{Draw, FINALIZER};

impl Draw<'_> {
    /// An object without a name.
    pub fn object(&mut self, kind: &Kind) -> Value {
        let mut object = self.content(kind);
        object["apiVersion"] = kind.api_version.into();
        object["kind"] = kind.name.into();
        object["metadata"] = json!({});
        if self.one_in(2) {
            object["metadata"]["labels"] = self.labels();
        }
        if self.one_in(3) {
            object["metadata"]["annotations"] = self.of(&[json!({}), json!({"rolebridge.io/a": "b"}), json!({"a": "c", "d": "e"})]);
        }
        if self.one_in(3) {
            object["metadata"]["finalizers"] = self.finalizers();
        }
        if self.one_in(12) {
            let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "00000000-0000-0000-0000-000000000001"});
            object["metadata"]["ownerReferences"] = json!([owner]);
        }
        object
    }

    pub fn labels(&mut self) -> Value {
        self.of(&[json!({"team": "data"}), json!({"team": "web", "tier": "one"}), json!({}), json!({"tier": "two"})])
    }

    pub fn finalizers(&mut self) -> Value {
        self.of(&[json!([FINALIZER]), json!([FINALIZER, "example.com/other"]), json!(["example.com/other"]), json!([])])
    }

    /// All fields of the object but metadata and status.
    pub fn content(&mut self, kind: &Kind) -> Value {
        match kind.name {
            "AWSAccount" => {
                let mut spec =
                    json!({"accountID": "123456789012", "access": {"ambient": {}}, "allowedNamespaces": {"from": "Names", "names": ["a"]}});
                self.vary(
                    &mut spec,
                    &[
                        ("guardrails", json!({})),
                        ("guardrails", json!({"accountRootTrust": true, "allowedGroups": ["a", "b"]})),
                        ("region", json!("eu-central-1")),
                        ("limits", json!({"burst": 3})),
                        ("allowedNamespaces", json!({"from": "Names", "names": ["model-a", "model-b"]})),
                        ("sweep", json!({"interval": "1h"})),
                        ("unknown", json!([1])),
                    ],
                );
                json!({"spec": spec})
            }
            "BastionUser" => {
                let mut spec = json!({"accountRef": {"name": "utils"}});
                self.vary(
                    &mut spec,
                    &[
                        ("tags", json!({"team": "data"})),
                        ("tags", json!({})),
                        ("groups", json!(["a"])),
                        ("groups", json!([])),
                        ("groups", json!(["b", "a"])),
                        ("permissions", json!({})),
                        ("permissions", json!({"attachedPolicies": ["ReadOnlyAccess"], "unmanaged": "Report"})),
                        (
                            "permissions",
                            json!({"inlinePolicies": [{"name": "one", "json": "{}"}, {"name": "three", "document": {"Version": "2012-10-17"}}]}),
                        ),
                        ("permissions", json!({"inlinePolicies": [{"name": "two", "json": "{}", "unknown": 1}]})),
                        ("allowRolesFrom", json!({"from": "Selector", "selector": {"matchLabels": {"a": "b"}}})),
                    ],
                );
                json!({"spec": spec})
            }
            "CrossAccountRole" => {
                let mut spec = json!({"accountRef": {"name": "prod"}, "trust": []});
                self.vary(
                    &mut spec,
                    &[
                        ("trust", json!([{"from": [{"user": {"name": "alice"}}]}])),
                        ("trust", json!([{"from": [{"user": {"name": "alice"}}, {"user": {"name": "bob"}}], "require": {"mfa": {}}}])),
                        ("description", json!("a role")),
                        ("maxSessionDuration", json!("2h")),
                        ("tags", json!({"team": "web", "tier": "one"})),
                    ],
                );
                json!({"spec": spec})
            }
            "ConfigMap" => {
                self.of(&[json!({}), json!({"data": {}}), json!({"data": {"a": "1", "b": "2"}}), json!({"data": {"a": "3"}, "unknown": 1})])
            }
            _ => self.of(&[json!({}), json!({"data": {"a": "MQ=="}}), json!({"data": {"a": "MQ==", "b": "Mg=="}, "type": "Opaque"})]),
        }
    }

    fn vary(&mut self, spec: &mut Value, fields: &[(&str, Value)]) {
        for _ in 0..self.random.u32(..4) {
            let (name, value) = self.of(fields);
            spec[name] = value;
        }
    }

    pub fn status(&mut self, kind: &Kind) -> Value {
        let mut status = json!({"observedGeneration": self.random.u32(1..4)});
        if !self.one_in(4) {
            status["conditions"] = self.conditions(&["Ready", "Synced", "Stalled"]);
        }
        let fields: &[(&str, Value)] = match kind.name {
            "AWSAccount" => &[],
            "BastionUser" => &[("userARN", json!("arn:a")), ("userARN", json!("arn:b")), ("userID", json!("AIDA"))],
            _ => &[("roleARN", json!("arn:a")), ("trust", json!({"bytes": 5, "principals": 1})), ("switchRoleURL", json!("https://a"))],
        };
        let lists: &[(&str, Value)] = match kind.name {
            "AWSAccount" => &[
                ("callerARN", json!("arn:c")),
                ("orphansTotal", json!(2)),
                ("orphans", json!([{"id": "AIDA", "identity": "user/a", "owner": "b"}])),
                ("shadowGrants", json!([])),
            ],
            "BastionUser" => &[
                ("roles", json!([{"name": "reader", "namespace": "model-a", "roleARN": "arn:r"}])),
                ("roles", json!([])),
                ("rolesTotal", json!(1)),
                ("unmanagedPolicies", json!(["a", "b"])),
            ],
            _ => &[
                ("grants", json!([{"source": "user alice", "state": "Granted"}])),
                ("grants", json!([{"source": "user alice", "state": "Waiting", "message": "wait"}])),
                ("grantsTotal", json!(1)),
            ],
        };
        let all = [fields, lists].concat();
        self.vary(&mut status, &all);
        status
    }

    pub fn conditions(&mut self, types: &[&str]) -> Value {
        let mut conditions = vec![];
        for type_ in types {
            if !self.one_in(3) {
                let status = self.of(&["True", "False"]);
                let since = format!("{PAST}-01-0{}T00:00:00Z", self.random.u32(1..4));
                let mut condition =
                    json!({"type": type_, "status": status, "reason": "Because", "message": "It is so.", "lastTransitionTime": since});
                if self.one_in(2) {
                    condition["observedGeneration"] = self.random.u32(1..4).into();
                }
                conditions.push(condition);
            }
        }
        self.random.shuffle(&mut conditions);
        conditions.into()
    }
}
