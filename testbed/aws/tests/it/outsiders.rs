//! Who comes from outside every account: holders of a token of an OpenID Connect provider, and services of AWS.

use serde_json::{Value, json};

use crate::client::{Client, PROD, Reply, Sim, UTILS, role_arn, trust};

const ISSUER: &str = "https://token.example.com/id/AB12";

fn provider_arn() -> String {
    format!("arn:aws:iam::{PROD}:oidc-provider/token.example.com/id/AB12")
}

/// A trust policy for tokens with this subject, with more actions besides the assumption.
fn federated(subject: &str, more: &[&str]) -> String {
    let actions: Vec<_> = ["sts:AssumeRoleWithWebIdentity"].iter().chain(more).collect();
    let condition =
        json!({"StringEquals": {"token.example.com/id/AB12:aud": "sts.amazonaws.com"}, "StringLike": {"token.example.com/id/AB12:sub": subject}});
    let statement = json!({"Effect": "Allow", "Principal": {"Federated": provider_arn()}, "Action": actions, "Condition": condition});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

async fn create_provider(account: &Client) {
    account.iam("CreateOpenIDConnectProvider", &[("Url", ISSUER), ("ClientIDList.member.1", "sts.amazonaws.com")]).await.ok();
}

pub async fn token(sim: &Sim, subject: &str, more: Value) -> String {
    let mut wanted = json!({"providerURL": ISSUER, "subject": subject, "audience": "sts.amazonaws.com"});
    wanted.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    sim.control("POST", "/web-identity-tokens", wanted).await["token"].as_str().unwrap().to_owned()
}

pub async fn assume(sim: &Sim, role: &str, token: &str) -> Reply {
    let parameters = [("RoleArn", role), ("RoleSessionName", "job"), ("WebIdentityToken", token)];
    sim.client("", "", None).unsigned("AssumeRoleWithWebIdentity", &parameters).await
}

#[tokio::test]
async fn a_token_is_worth_a_session_when_the_trust_policy_says_so() {
    let (sim, _utils, prod) = Sim::with_accounts().await;
    // The provider need not exist for the policy to be written.
    prod.role("ci", &federated("repo:team/*", &[])).await;
    let role = role_arn(PROD, "ci");
    let good = token(&sim, "repo:team/app", json!({})).await;
    let refused = assume(&sim, &role, &good).await;
    assert_eq!((refused.status, refused.code()), (400, "InvalidIdentityToken".to_owned()));
    assert!(refused.message().starts_with("No OpenIDConnect provider"), "{}", refused.message());

    create_provider(&prod).await;
    let session = assume(&sim, &role, &good).await.ok();
    assert_eq!(session.text("Arn"), format!("arn:aws:sts::{PROD}:assumed-role/ci/job"));
    assert_eq!((session.text("SubjectFromWebIdentityToken"), session.text("Provider")), ("repo:team/app".to_owned(), provider_arn()));
    let ci = sim.client("", "", None).with_session(&session);
    assert_eq!(ci.sts("GetCallerIdentity", &[]).await.ok().text("Account"), PROD);

    let refused = assume(&sim, &role, &token(&sim, "repo:others/app", json!({})).await).await;
    assert_eq!((refused.status, refused.message()), (403, "Not authorized to perform sts:AssumeRoleWithWebIdentity".to_owned()));
    assert_eq!(assume(&sim, &role_arn(PROD, "none"), &good).await.code(), "AccessDenied");
}

#[tokio::test]
async fn statement_53_a_trust_without_subject_lets_in_everybody_of_that_provider() {
    let (sim, _utils, prod) = Sim::with_accounts().await;
    create_provider(&prod).await;
    let mut open: Value = serde_json::from_str(&federated("repo:team/*", &[])).unwrap();
    open["Statement"][0].as_object_mut().unwrap().remove("Condition");
    prod.role("open", &open.to_string()).await;
    prod.role("narrow", &federated("repo:team/*", &[])).await;
    let stranger = token(&sim, "repo:strangers/app", json!({})).await;
    assume(&sim, &role_arn(PROD, "open"), &stranger).await.ok();
    assert_eq!(assume(&sim, &role_arn(PROD, "narrow"), &stranger).await.code(), "AccessDenied");
}

#[tokio::test]
async fn a_token_must_be_genuine_current_and_meant_for_aws() {
    let (sim, _utils, prod) = Sim::with_accounts().await;
    create_provider(&prod).await;
    prod.role("ci", &federated("*", &[])).await;
    let role = role_arn(PROD, "ci");
    let genuine = token(&sim, "a", json!({})).await;
    assert_eq!(assume(&sim, &role, &format!("{genuine}x")).await.code(), "InvalidIdentityToken");
    let old = token(&sim, "a", json!({"expiresInSeconds": -1})).await;
    assert_eq!(assume(&sim, &role, &old).await.code(), "ExpiredTokenException");
    let for_others = token(&sim, "a", json!({"audience": ["other"]})).await;
    assert_eq!(assume(&sim, &role, &for_others).await.message(), "Incorrect token audience");
}

#[tokio::test]
async fn a_trust_policy_for_accounts_admits_no_token_and_one_for_tokens_no_account() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    create_provider(&prod).await;
    prod.role("accounts", &trust(json!([UTILS, PROD]))).await;
    prod.role("tokens", &federated("*", &[])).await;
    let token = token(&sim, "a", json!({})).await;
    assert_eq!(assume(&sim, &role_arn(PROD, "accounts"), &token).await.code(), "AccessDenied");
    assert!(utils.assume(&role_arn(PROD, "tokens"), &[]).await.message().contains("no role trust policy"));
}

#[tokio::test]
async fn tags_and_source_identity_of_a_token_need_their_actions_and_stay() {
    let (sim, _utils, prod) = Sim::with_accounts().await;
    create_provider(&prod).await;
    prod.role("plain", &federated("*", &[])).await;
    prod.role("tagged", &federated("*", &["sts:TagSession", "sts:SetSourceIdentity"])).await;
    let condition =
        json!({"StringEquals": {"aws:PrincipalTag/team": "blue", "aws:SourceIdentity": "alice", "aws:FederatedProvider": provider_arn()}});
    let document =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iam:ListUsers", "Resource": "*", "Condition": condition}]});
    prod.iam("PutRolePolicy", &[("RoleName", "tagged"), ("PolicyName", "p"), ("PolicyDocument", &document.to_string())]).await.ok();
    let claims = json!({"https://aws.amazon.com/tags": {"principal_tags": {"team": ["blue"]}}, "https://aws.amazon.com/source_identity": "alice"});
    let token = token(&sim, "a", json!({"claims": claims})).await;
    assert_eq!(assume(&sim, &role_arn(PROD, "plain"), &token).await.message(), "Not authorized to perform sts:TagSession");
    let session = assume(&sim, &role_arn(PROD, "tagged"), &token).await.ok();
    assert_eq!(session.text("SourceIdentity"), "alice");
    sim.client("", "", None).with_session(&session).iam("ListUsers", &[]).await.ok();
}

fn for_service(service: &str, actions: &[&str], condition: Value) -> String {
    let statement = json!({"Effect": "Allow", "Principal": {"Service": service}, "Action": actions, "Condition": condition});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

#[tokio::test]
async fn a_service_gets_a_role_that_trusts_it_for_this_source() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    let condition = json!({"StringEquals": {"aws:SourceAccount": PROD}, "ArnLike": {"aws:SourceArn": format!("arn:aws:lambda:*:{PROD}:function:*")}});
    prod.role("r", &for_service("lambda.amazonaws.com", &["sts:AssumeRole"], condition)).await;
    let asked = |service: &str, account: &str| {
        let source = format!("arn:aws:lambda:us-east-1:{account}:function:f");
        json!({"service": service, "roleARN": role_arn(PROD, "r"), "conditions": {"aws:SourceAccount": account, "aws:SourceArn": source}})
    };
    let given = sim.control("POST", "/service-assumptions", asked("lambda.amazonaws.com", PROD)).await;
    assert_eq!(given["allowed"], true);
    for other in [asked("lambda.amazonaws.com", UTILS), asked("ec2.amazonaws.com", PROD)] {
        let refused = sim.control("POST", "/service-assumptions", other).await;
        assert_eq!(refused, json!({"allowed": false, "reason": "RoleTrustPolicy", "action": "sts:AssumeRole", "explicitDeny": false}));
    }
    let missing = json!({"service": "lambda.amazonaws.com", "roleARN": role_arn(PROD, "none")});
    assert_eq!(sim.control("POST", "/service-assumptions", missing).await["reason"], "NoSuchRole");
    assert!(utils.assume(&role_arn(PROD, "r"), &[]).await.message().contains("no role trust policy"));
}

#[tokio::test]
async fn statement_42_pod_identity_passes_tags_that_every_further_role_must_allow() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    let pods = "pods.eks.amazonaws.com";
    let condition = json!({"StringEquals": {"aws:RequestTag/kubernetes-namespace": "team"}});
    utils.role("untagged", &for_service(pods, &["sts:AssumeRole"], json!({}))).await;
    utils.role("pod", &for_service(pods, &["sts:AssumeRole", "sts:TagSession"], condition)).await;
    utils.allow_role("pod", json!(["sts:AssumeRole", "sts:TagSession"])).await;
    let asked = |role: &str, namespace: &str| {
        json!({"service": pods, "roleARN": role_arn(UTILS, role), "sessionName": "eks-pod", "tags": {"kubernetes-namespace": namespace},
            "transitiveTagKeys": ["kubernetes-namespace"]})
    };
    let refused = sim.control("POST", "/service-assumptions", asked("untagged", "team")).await;
    assert_eq!((&refused["allowed"], &refused["action"]), (&json!(false), &json!("sts:TagSession")));
    assert_eq!(sim.control("POST", "/service-assumptions", asked("pod", "others")).await["action"], "sts:AssumeRole");
    let given = sim.control("POST", "/service-assumptions", asked("pod", "team")).await;
    let text = |name: &str| given[name].as_str().unwrap();
    let pod = sim.client(text("accessKeyID"), text("secretAccessKey"), given["sessionToken"].as_str());

    prod.role("closed", &trust(json!(UTILS))).await;
    assert!(pod.assume(&role_arn(PROD, "closed"), &[]).await.message().contains("no role trust policy allows the sts:TagSession action"));
    let open = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": UTILS},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {"StringEquals": {"aws:PrincipalTag/kubernetes-namespace": "team"}}}]});
    prod.role("open", &open.to_string()).await;
    pod.assume(&role_arn(PROD, "open"), &[]).await.ok();
}

#[tokio::test]
async fn statement_60_a_pod_goes_on_into_another_account_with_an_external_id() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    let pods = "pods.eks.amazonaws.com";
    utils.role("pod", &for_service(pods, &["sts:AssumeRole", "sts:TagSession"], json!({}))).await;
    let target = role_arn(PROD, "target");
    // What the association says: the tags are all transitive, unless it has `disableSessionTags`.
    let pod = async |tags: Value| {
        let keys: Vec<&String> = tags.as_object().unwrap().keys().collect();
        let asked = json!({"service": pods, "roleARN": role_arn(UTILS, "pod"), "sessionName": "eks-pod", "transitiveTagKeys": keys, "tags": tags});
        let given = sim.control("POST", "/service-assumptions", asked).await;
        let text = |name: &str| given[name].as_str().unwrap();
        sim.client(text("accessKeyID"), text("secretAccessKey"), given["sessionToken"].as_str())
    };
    let (tagged, untagged) = (pod(json!({"kubernetes-namespace": "team", "eks-cluster-name": "c"})).await, pod(json!({})).await);
    let external_id = [("ExternalId", "us-east-1/111111111111/c/team/app")];
    let assumption = json!({"Effect": "Allow", "Principal": {"AWS": role_arn(UTILS, "pod")}, "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": external_id[0].1}}});
    let tagging = json!({"Effect": "Allow", "Principal": {"AWS": role_arn(UTILS, "pod")}, "Action": "sts:TagSession"});
    let trusting = |statements: Value| json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    prod.role("target", &trusting(json!([assumption]))).await;

    utils.allow_role("pod", json!("sts:AssumeRole")).await;
    untagged.assume(&target, &external_id).await.ok();
    assert!(untagged.assume(&target, &[]).await.message().contains("no role trust policy allows the sts:AssumeRole action"));
    assert!(tagged.assume(&target, &external_id).await.message().contains("no identity-based policy allows the sts:TagSession action"));
    utils.allow_role("pod", json!(["sts:AssumeRole", "sts:TagSession"])).await;
    assert!(tagged.assume(&target, &external_id).await.message().contains("no role trust policy allows the sts:TagSession action"));

    let both = trusting(json!([assumption, tagging]));
    prod.iam("UpdateAssumeRolePolicy", &[("RoleName", "target"), ("PolicyDocument", &both)]).await.ok();
    tagged.assume(&target, &external_id).await.ok();
    assert!(tagged.assume(&target, &[]).await.message().contains("no role trust policy allows the sts:AssumeRole action"));
}

#[tokio::test]
async fn statement_58_nothing_calls_by_the_name_of_a_service_that_does_not_exist() {
    let (sim, _utils, prod) = Sim::with_accounts().await;
    let cognito = "cognito-identity.amazonaws.com";
    prod.role("r", &for_service(cognito, &["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"], json!({}))).await;
    for service in [cognito, "nobody.amazonaws.com"] {
        let asked = json!({"service": service, "roleARN": role_arn(PROD, "r")});
        assert_eq!(sim.control_status("POST", "/service-assumptions", asked).await.0, 400, "{service}");
    }
    let pool = token(&sim, "user", json!({"providerURL": format!("https://{cognito}"), "audience": "pool"})).await;
    assert_eq!(assume(&sim, &role_arn(PROD, "r"), &pool).await.code(), "AccessDenied");
}
