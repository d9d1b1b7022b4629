//! What statuses quote of documents, and what not, since who reads a status may not be able to read the ConfigMap that a document comes from.

use serde_json::{Value, json};

use super::lab::Lab;
use crate::api::Reason;
use crate::core::action::Action;
use crate::core::failure::Failure;

fn document(action: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": "*"}}).to_string()
}

/// The role `reader`, with these inline policies.
fn reader(inline: &Value) -> Value {
    json!({"kind": "CrossAccountRole", "metadata": {"name": "reader"}, "spec": {
        "accountRef": {"name": "prod"}, "trust": [{"from": [{"user": {"name": "alice"}}]}], "permissions": {"inlinePolicies": inline},
    }})
}

#[tokio::test(start_paused = true)]
async fn what_aws_says_of_a_document_is_told_where_the_resource_states_it_and_not_where_a_config_map_does() {
    let lab = Lab::new().await;
    lab.apply(json!({"kind": "BastionUser", "metadata": {"name": "alice"}, "spec": {"accountRef": {"name": "utils"}}}));
    lab.apply(json!({"kind": "ConfigMap", "metadata": {"name": "policies"}, "data": {"p.json": document("s3:Secret*")}}));
    let refused = Failure {
        without_quotes: "iam:PutRolePolicy: MalformedPolicyDocument".into(),
        ..Failure::refused(Reason::InvalidDocument, "iam:PutRolePolicy: MalformedPolicyDocument: s3:Secret* is nothing.")
    };
    lab.aws.refused.lock().push((Box::new(|action| matches!(action, Action::PutInlinePolicy(..))), refused));

    let of_config_map = json!([{"name": "p", "configMapKeyRef": {"name": "policies", "key": "p.json"}}]);
    let stated = json!([{"name": "p", "json": document("s3:Secret*")}]);
    let other_stated = json!([{"name": "p", "configMapKeyRef": {"name": "policies", "key": "p.json"}}, {"name": "q", "json": document("s3:Get*")}]);
    for (inline, is_quoted) in [(of_config_map, false), (stated, true), (other_stated, false)] {
        lab.apply(reader(&inline));
        lab.run(10).await;
        let status = lab.get("CrossAccountRole", "reader")["status"].to_string();
        assert!(status.contains("iam:PutRolePolicy: MalformedPolicyDocument"), "{status}");
        assert_eq!(status.contains("s3:Secret"), is_quoted, "{inline}: {status}");
    }
}
