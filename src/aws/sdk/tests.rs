use std::collections::BTreeMap;

use crate::Account;
use crate::test_server::{Reply, Request, Server, ambient, error, error_text, owner, success, success_text};
use rolebridge_api::Reason;
use rolebridge_core::action::{Action, Dependent, Receipt, Tagged};
use rolebridge_core::document::Document;
use rolebridge_core::encoding::encode;
use rolebridge_core::failure::{Effect, Failure};
use rolebridge_core::identity::{Identity, IdentityName, ManagedPolicy, RoleSettings};
use rolebridge_core::names::{Arn, Path};
use rolebridge_core::observed::{Observed, ObservedIdentity, ObservedPolicy, Scope};
use rolebridge_core::quotas::Quotas;

const TRUST: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:user/u"},"Action":"sts:AssumeRole"}]}"#;
const READ: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::a+b/*"}]}"#;

fn document(text: &str) -> Document {
    Document::parse(text).unwrap()
}

fn role() -> IdentityName {
    IdentityName::Role("reader".parse().unwrap())
}

fn user() -> IdentityName {
    IdentityName::User("ana".parse().unwrap())
}

fn policy_arn() -> Arn {
    "arn:aws:iam::111111111111:policy/team/p".parse().unwrap()
}

fn boundary() -> Arn {
    "arn:aws:iam::111111111111:policy/boundary".parse().unwrap()
}

fn wanted_role() -> Identity {
    Identity {
        name: role(),
        path: "/team/".parse().unwrap(),
        tags: [("team".to_owned(), "data & more".to_owned())].into(),
        permissions_boundary: Some(boundary()),
        inline_policies: [("one".parse().unwrap(), document(READ)), ("two".parse().unwrap(), document(READ))].into(),
        attached_policies: ["arn:aws:iam::aws:policy/ReadOnlyAccess".parse().unwrap()].into(),
        groups: None,
        role: Some(RoleSettings { description: "Reads.".into(), max_session_duration: 7200, trust_policy: document(TRUST) }),
    }
}

fn managed_policy() -> ManagedPolicy {
    ManagedPolicy {
        arn: policy_arn(),
        name: "p".parse().unwrap(),
        path: "/team/".parse().unwrap(),
        description: "P.".into(),
        document: document(READ),
        tags: [("a".to_owned(), "b".to_owned())].into(),
    }
}

/// An account with one role and one policy, as IAM tells of them.
fn iam(request: &Request) -> Reply {
    const BOUNDARY: &str = "<PermissionsBoundary><PermissionsBoundaryType>Policy</PermissionsBoundaryType><PermissionsBoundaryArn>arn:aws:iam::111111111111:policy/boundary</PermissionsBoundaryArn></PermissionsBoundary>";
    let action = request.action.as_str();
    let result = match (action, request.get("Marker")) {
        ("GetRole", _) => format!(
            "<Role><Path>/team/</Path><RoleName>reader</RoleName><RoleId>AROAEXAMPLEEXAMPLE1</RoleId><Arn>arn:aws:iam::111111111111:role/team/reader</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>{}</AssumeRolePolicyDocument><Description>Reads.</Description><MaxSessionDuration>7200</MaxSessionDuration>{BOUNDARY}<Tags><member><Key>team</Key><Value>data &amp; more</Value></member></Tags></Role>",
            encode(TRUST)
        ),
        ("ListRolePolicies", None) => "<PolicyNames><member>one</member></PolicyNames><IsTruncated>true</IsTruncated><Marker>m1</Marker>".into(),
        ("ListRolePolicies", Some("m1")) => "<PolicyNames/><IsTruncated>true</IsTruncated><Marker>m2</Marker>".into(),
        ("ListRolePolicies", Some("m2")) => "<PolicyNames><member>two</member></PolicyNames><IsTruncated>false</IsTruncated>".into(),
        ("GetRolePolicy", _) => format!(
            "<RoleName>reader</RoleName><PolicyName>{}</PolicyName><PolicyDocument>{}</PolicyDocument>",
            request.get("PolicyName").unwrap(),
            encode(READ)
        ),
        ("ListAttachedRolePolicies", _) => "<AttachedPolicies><member><PolicyName>ReadOnlyAccess</PolicyName><PolicyArn>arn:aws:iam::aws:policy/ReadOnlyAccess</PolicyArn></member></AttachedPolicies><IsTruncated>false</IsTruncated>".into(),
        ("GetPolicy", _) if request.get("PolicyArn") == Some(policy_arn().as_str()) => {
            "<Policy><PolicyName>p</PolicyName><PolicyId>ANPAEXAMPLEEXAMPLE1</PolicyId><Arn>arn:aws:iam::111111111111:policy/team/p</Arn><Path>/team/</Path><DefaultVersionId>v9</DefaultVersionId><Description>P.</Description><Tags><member><Key>a</Key><Value>b</Value></member></Tags></Policy>".into()
        }
        ("GetPolicyVersion", _) => {
            format!("<PolicyVersion><Document>{}</Document><VersionId>{}</VersionId></PolicyVersion>", encode(READ), request.get("VersionId").unwrap())
        }
        ("ListPolicyVersions", _) => "<Versions><member><VersionId>v10</VersionId></member><member><VersionId>v9</VersionId></member><member><VersionId>v2</VersionId></member></Versions><IsTruncated>false</IsTruncated>".into(),
        _ => return error(404, "NoSuchEntity", "It cannot be found."),
    };
    success(action, &result)
}

async fn account(server: &Server) -> Account {
    Account::new(&server.base(), ambient(), None).unwrap()
}

fn scope(who: &IdentityName, policies: &[Arn]) -> Scope {
    Scope { name: Some(who.clone()), policies: policies.iter().cloned().collect(), groups: false, pinned: None }
}

async fn observe(server: &Server, who: &IdentityName, policies: &[Arn]) -> Result<Observed, Failure> {
    account(server).await.gateway().observe(&scope(who, policies)).await
}

async fn execute(server: &Server, action: Action) -> Result<Receipt, Failure> {
    let result = account(server).await.gateway().execute(&action, &owner()).await;
    let names_owner = |request: &Request| request.headers("user-agent").concat().starts_with("rolebridge (one; CrossAccountRole/data/reader) ");
    assert!(server.requests().iter().all(names_owner), "{:?}", server.requests());
    result
}

#[tokio::test]
async fn a_role_is_read_with_all_pages_and_a_missing_policy_is_left_out() {
    let server = Server::start(iam);
    let missing: Arn = "arn:aws:iam::111111111111:policy/missing".parse().unwrap();
    let observed = observe(&server, &role(), &[policy_arn(), missing]).await.unwrap();
    let policy = ObservedPolicy {
        id: "ANPAEXAMPLEEXAMPLE1".parse().unwrap(),
        policy: managed_policy(),
        default_version: "v9".into(),
        other_versions: vec!["v2".into(), "v10".into()],
    };
    let identity = ObservedIdentity { id: "AROAEXAMPLEEXAMPLE1".parse().unwrap(), identity: wanted_role() };
    assert_eq!(observed, Observed { identity: Some(identity), policies: BTreeMap::from([(policy_arn(), policy)]), ..Observed::default() });
}

#[tokio::test]
async fn of_a_missing_role_the_policies_are_still_read() {
    let server = Server::start(|request| if request.action == "GetRole" { error(404, "NoSuchEntity", "") } else { iam(request) });
    let observed = observe(&server, &role(), &[policy_arn()]).await.unwrap();
    assert_eq!(observed.identity, None);
    assert_eq!(observed.policies.len(), 1);
}

/// IAM finds no user by its unique ID: all are listed. What the list still has under a name that nobody bears was renamed or deleted a moment ago.
#[tokio::test]
async fn statement_66_a_user_that_is_listed_and_not_shown_is_not_absent() {
    const ID: &str = "AIDAEXAMPLEEXAMPLE1";
    let listed = |id: &str| {
        let user = format!(
            "<member><Path>/</Path><UserName>ana</UserName><UserId>{id}</UserId><Arn>arn:aws:iam::111111111111:user/ana</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></member>"
        );
        format!("<Users>{user}</Users><IsTruncated>false</IsTruncated>")
    };
    for (id, is_known) in [(ID, true), ("AIDAEXAMPLEEXAMPLE2", false)] {
        let users = listed(id);
        let server = Server::start(move |request| match request.action.as_str() {
            "ListUsers" => success("ListUsers", &users),
            _ => error(404, "NoSuchEntity", "It cannot be found."),
        });
        let scope = Scope { pinned: Some(ID.parse().unwrap()), ..scope(&user(), &[]) };
        let observed = account(&server).await.gateway().observe(&scope).await;
        match observed {
            Ok(observed) => assert!(!is_known && observed.identity.is_none(), "{observed:?}"),
            Err(failure) => assert!(is_known && failure.reason == Reason::Propagating, "{failure:?}"),
        }
    }
}

#[tokio::test]
async fn a_role_that_vanishes_while_it_is_read_is_not_one_without_policies() {
    for vanished in ["ListRolePolicies", "GetRolePolicy", "ListAttachedRolePolicies", "GetPolicyVersion", "ListPolicyVersions"] {
        let server = Server::start(move |request| if request.action == vanished { error(404, "NoSuchEntity", "") } else { iam(request) });
        let failure = observe(&server, &role(), &[policy_arn()]).await.unwrap_err();
        assert_eq!((failure.reason, failure.effect), (Reason::Propagating, Effect::None), "{vanished}");
    }
}

/// What a proxy, a broken connection or AWS in trouble may give instead of an answer.
fn damages() -> Vec<fn() -> Reply> {
    vec![
        || Reply::Answer(200, "<html><body>Sign in</body></html>".into()),
        || Reply::Answer(404, "<html><body>NoSuchEntity</body></html>".into()),
        || Reply::Answer(200, String::new()),
        || Reply::Answer(503, "Service Unavailable".into()),
        || error(500, "ServiceFailure", ""),
        || Reply::Answer(404, error_text("NoSuchEntity", "").replace("</ErrorResponse>", "")),
        || Reply::Answer(404, error_text("", "")),
        || Reply::Broken(success_text("GetRole", "<Role/>"), 40),
        || Reply::Reset,
    ]
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_never_an_absence() {
    for (index, damage) in damages().into_iter().enumerate() {
        let server = Server::start(move |_| damage());
        let failure = observe(&server, &role(), &[]).await.unwrap_err();
        assert_eq!((failure.reason, failure.effect), (Reason::AWSUnavailable, Effect::None), "{index}: {}", failure.message);
        assert!(failure.message.starts_with("iam:GetRole: ") && !failure.message.contains('{'), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_write_whose_answer_cannot_be_read_may_have_been_made() {
    for (index, damage) in damages().into_iter().enumerate() {
        let server = Server::start(move |_| damage());
        let failure = execute(&server, Action::DeleteIdentity(role())).await.unwrap_err();
        assert_eq!((failure.reason, failure.effect), (Reason::AWSUnavailable, Effect::Unknown), "{index}: {}", failure.message);
        assert_eq!(server.actions(), ["DeleteRole"], "nothing is tried again: {index}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_neither() {
    let server = Server::start(|_| Reply::Silence);
    let account = Account::new(&server.impatient(), ambient(), None).unwrap();
    let failure = account.gateway().observe(&scope(&role(), &[])).await.unwrap_err();
    assert_eq!((failure.reason, failure.effect), (Reason::AWSUnavailable, Effect::None));
    let failure = account.gateway().execute(&Action::DeleteIdentity(role()), &owner()).await.unwrap_err();
    assert_eq!((failure.reason, failure.effect), (Reason::AWSUnavailable, Effect::Unknown));
    assert_eq!(failure.message, "iam:DeleteRole: no answer from AWS in time");
    assert_eq!(server.actions(), ["GetRole", "DeleteRole"]);
}

#[tokio::test]
async fn a_list_that_is_cut_anywhere_is_not_a_shorter_list() {
    let whole =
        success_text("ListRolePolicies", "<PolicyNames><member>one</member><member>two</member></PolicyNames><IsTruncated>false</IsTruncated>");
    for cut in [whole.find("<member>two").unwrap(), whole.find("<IsTruncated>").unwrap(), whole.find("<ResponseMetadata>").unwrap(), whole.len() - 1]
    {
        let part = whole[..cut].to_owned();
        let server = Server::start(move |request| match request.action.as_str() {
            "ListRolePolicies" => Reply::Answer(200, part.clone()),
            _ => iam(request),
        });
        let failure = observe(&server, &role(), &[]).await.unwrap_err();
        assert_eq!(failure.reason, Reason::AWSUnavailable, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_list_that_goes_on_without_saying_where_is_not_at_its_end() {
    for marker in ["", "<Marker>m1</Marker>"] {
        let server = Server::start(move |request| match request.action.as_str() {
            "ListRolePolicies" => success("ListRolePolicies", &format!("<PolicyNames/><IsTruncated>true</IsTruncated>{marker}")),
            _ => iam(request),
        });
        assert_eq!(observe(&server, &role(), &[]).await.unwrap_err().reason, Reason::AWSUnavailable, "{marker}");
    }
}

#[tokio::test]
async fn statement_34_a_role_in_a_path_of_aws_is_somebody_elses() {
    let server = Server::start(|request| match iam(request) {
        Reply::Answer(status, text) => Reply::Answer(status, text.replace("<Path>/team/", "<Path>/aws-service-role/x.amazonaws.com/")),
        other => other,
    });
    assert_eq!(observe(&server, &role(), &[]).await.unwrap_err().reason, Reason::Conflict);
}

#[tokio::test]
async fn what_is_created_is_sent_whole() {
    let server = Server::start(|request| {
        let id = if request.action == "CreateRole" {
            "<Role><RoleId>AROAEXAMPLEEXAMPLE1</RoleId></Role>"
        } else {
            "<Policy><PolicyId>ANPAEXAMPLEEXAMPLE1</PolicyId></Policy>"
        };
        success(&request.action, id)
    });
    let receipt = execute(&server, Action::CreateIdentity(Box::new(wanted_role()))).await.unwrap();
    assert_eq!(receipt, Receipt::Created("AROAEXAMPLEEXAMPLE1".parse().unwrap()));
    let receipt = execute(&server, Action::CreatePolicy(Box::new(managed_policy()))).await.unwrap();
    assert_eq!(receipt, Receipt::Created("ANPAEXAMPLEEXAMPLE1".parse().unwrap()));

    let requests = server.requests();
    let trust = document(TRUST).to_json();
    for (key, value) in [
        ("RoleName", "reader"),
        ("Path", "/team/"),
        ("AssumeRolePolicyDocument", trust.as_str()),
        ("Description", "Reads."),
        ("MaxSessionDuration", "7200"),
        ("PermissionsBoundary", boundary().as_str()),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "data & more"),
    ] {
        assert_eq!(requests[0].get(key), Some(value), "{key}");
    }
    let read = document(READ).to_json();
    for (key, value) in
        [("PolicyName", "p"), ("Path", "/team/"), ("PolicyDocument", read.as_str()), ("Description", "P."), ("Tags.member.1.Key", "a")]
    {
        assert_eq!(requests[1].get(key), Some(value), "{key}");
    }
}

#[tokio::test]
async fn statement_3_a_creation_whose_answer_lacks_the_id_may_have_been_made() {
    let server = Server::start(|request| success(&request.action, "<Role><RoleId></RoleId></Role>"));
    let failure = execute(&server, Action::CreateIdentity(Box::new(wanted_role()))).await.unwrap_err();
    assert_eq!((failure.reason, failure.effect), (Reason::AWSUnavailable, Effect::Unknown));
    let failure = execute(&server, Action::CreatePolicyVersion(policy_arn(), document(READ))).await.unwrap_err();
    assert_eq!((failure.reason, failure.effect), (Reason::AWSUnavailable, Effect::Unknown));
}

#[tokio::test]
async fn what_exists_already_is_told_and_what_is_throttled_has_not_happened() {
    for (status, code, effect) in [(409, "EntityAlreadyExists", Effect::AlreadyExists), (400, "Throttling", Effect::None)] {
        let server = Server::start(move |_| error(status, code, "Said so."));
        let failure = execute(&server, Action::CreateIdentity(Box::new(wanted_role()))).await.unwrap_err();
        assert_eq!(failure.effect, effect);
        assert_eq!(failure.message, format!("iam:CreateRole: {code}: Said so."));
    }
}

/// One of each action that removes something, and the operations that it takes.
fn removals() -> Vec<(Action, Vec<&'static str>)> {
    let dependent = |dependent| Action::RemoveDependent("ana".parse().unwrap(), dependent);
    let name = || "one".parse().unwrap();
    vec![
        (Action::DeletePolicyVersion(policy_arn(), "v1".into()), vec!["DeletePolicyVersion"]),
        (Action::DeletePolicy(policy_arn()), vec!["DeletePolicy"]),
        (Action::DeleteInlinePolicy(role(), name()), vec!["DeleteRolePolicy"]),
        (Action::DeleteInlinePolicy(user(), name()), vec!["DeleteUserPolicy"]),
        (Action::DetachPolicy(role(), policy_arn()), vec!["DetachRolePolicy"]),
        (Action::DetachPolicy(user(), policy_arn()), vec!["DetachUserPolicy"]),
        (Action::DeletePermissionsBoundary(role()), vec!["DeleteRolePermissionsBoundary"]),
        (Action::DeletePermissionsBoundary(user()), vec!["DeleteUserPermissionsBoundary"]),
        (Action::DeleteIdentity(role()), vec!["DeleteRole"]),
        (Action::DeleteIdentity(user()), vec!["DeleteUser"]),
        (dependent(Dependent::LoginProfile), vec!["DeleteLoginProfile"]),
        (dependent(Dependent::AccessKey("AKIAEXAMPLEEXAMPLE".into())), vec!["DeleteAccessKey"]),
        (dependent(Dependent::SigningCertificate("CERTIFICATECERTIFICATE1234".into())), vec!["DeleteSigningCertificate"]),
        (dependent(Dependent::SSHPublicKey("APKAEXAMPLEEXAMPLE12".into())), vec!["DeleteSSHPublicKey"]),
        (dependent(Dependent::ServiceSpecificCredential("ACCAEXAMPLEEXAMPLE12".into())), vec!["DeleteServiceSpecificCredential"]),
        (dependent(Dependent::MFADevice("GAHT12345678".into())), vec!["DeactivateMFADevice"]),
        (dependent(Dependent::MFADevice("arn:aws:iam::111111111111:mfa/ana".into())), vec!["DeactivateMFADevice", "DeleteVirtualMFADevice"]),
        (dependent(Dependent::MFADevice("arn:aws:iam::111111111111:u2f/user/ana/key".into())), vec!["DeactivateMFADevice"]),
        (dependent(Dependent::Group("developers".into())), vec!["RemoveUserFromGroup"]),
        (Action::RemoveFromGroup("ana".parse().unwrap(), "developers".parse().unwrap()), vec!["RemoveUserFromGroup"]),
    ]
}

#[tokio::test]
async fn statements_22_and_23_what_is_gone_already_is_no_failure_and_told_apart() {
    for (action, operations) in removals() {
        let server = Server::start(|_| error(404, "NoSuchEntity", "It cannot be found."));
        assert_eq!(execute(&server, action.clone()).await, Ok(Receipt::Missing), "{action}");
        assert_eq!(server.actions(), operations, "{action}");
    }
}

#[tokio::test]
async fn nothing_is_taken_from_who_is_missing() {
    let name = || "one".parse().unwrap();
    for (action, who) in [
        (Action::DeleteInlinePolicy(role(), name()), "role"),
        (Action::DeleteInlinePolicy(user(), name()), "user"),
        (Action::DetachPolicy(role(), policy_arn()), "role"),
        (Action::DetachPolicy(user(), policy_arn()), "user"),
        (Action::DeletePermissionsBoundary(role()), "role"),
        (Action::DeletePermissionsBoundary(user()), "user"),
        (Action::RemoveFromGroup("ana".parse().unwrap(), "developers".parse().unwrap()), "user"),
    ] {
        let server = Server::start(move |_| error(404, "NoSuchEntity", &format!("The {who} with name ana cannot be found.")));
        let failure = execute(&server, action.clone()).await.unwrap_err();
        assert_eq!((failure.reason, failure.effect), (Reason::Propagating, Effect::None), "{action}");
    }
}

#[tokio::test]
async fn what_cannot_be_written_to_is_not_done() {
    let name = || "one".parse().unwrap();
    let tags = || [("a".to_owned(), "b".to_owned())].into();
    for (action, operation, reason) in [
        (Action::PutInlinePolicy(role(), name(), document(READ)), "PutRolePolicy", Reason::Propagating),
        (Action::PutInlinePolicy(user(), name(), document(READ)), "PutUserPolicy", Reason::Propagating),
        (Action::AttachPolicy(role(), policy_arn()), "AttachRolePolicy", Reason::PolicyNotFound),
        (Action::AttachPolicy(user(), policy_arn()), "AttachUserPolicy", Reason::PolicyNotFound),
        (Action::AddToGroup("ana".parse().unwrap(), "developers".parse().unwrap()), "AddUserToGroup", Reason::GroupNotFound),
        (Action::UpdateTrustPolicy("reader".parse().unwrap(), document(TRUST)), "UpdateAssumeRolePolicy", Reason::Propagating),
        (Action::UpdateRole("reader".parse().unwrap(), String::new(), 3600), "UpdateRole", Reason::Propagating),
        (Action::PutPermissionsBoundary(role(), boundary()), "PutRolePermissionsBoundary", Reason::PolicyNotFound),
        (Action::PutPermissionsBoundary(user(), boundary()), "PutUserPermissionsBoundary", Reason::PolicyNotFound),
        (Action::Tag(Tagged::Identity(role()), tags()), "TagRole", Reason::Propagating),
        (Action::Tag(Tagged::Identity(user()), tags()), "TagUser", Reason::Propagating),
        (Action::Tag(Tagged::Policy(policy_arn()), tags()), "TagPolicy", Reason::Propagating),
        (Action::Untag(Tagged::Identity(role()), vec!["a".into()]), "UntagRole", Reason::Propagating),
        (Action::Untag(Tagged::Identity(user()), vec!["a".into()]), "UntagUser", Reason::Propagating),
        (Action::Untag(Tagged::Policy(policy_arn()), vec!["a".into()]), "UntagPolicy", Reason::Propagating),
        (Action::CreatePolicyVersion(policy_arn(), document(READ)), "CreatePolicyVersion", Reason::Propagating),
    ] {
        let server = Server::start(|_| error(404, "NoSuchEntity", "It does not exist."));
        let failure = execute(&server, action.clone()).await.unwrap_err();
        assert_eq!((failure.reason, failure.effect), (reason, Effect::None), "{action}");
        assert_eq!(server.actions(), [operation], "{action}");
    }
}

#[tokio::test]
async fn an_emptied_description_is_sent_so_that_it_is_emptied() {
    let server = Server::start(|request| success(&request.action, ""));
    execute(&server, Action::UpdateRole("reader".parse().unwrap(), String::new(), 3600)).await.unwrap();
    assert_eq!(server.requests()[0].get("Description"), Some(""));
}

#[tokio::test]
async fn statement_22_all_that_a_user_has_is_found() {
    let server = Server::start(|request| {
        let action = request.action.as_str();
        let item = match action {
            "GetLoginProfile" => {
                return success(action, "<LoginProfile><UserName>ana</UserName><CreateDate>2026-01-01T00:00:00Z</CreateDate></LoginProfile>");
            }
            "ListAccessKeys" => "<AccessKeyMetadata><member><AccessKeyId>AKIAEXAMPLEEXAMPLE</AccessKeyId></member></AccessKeyMetadata>",
            "ListSigningCertificates" => "<Certificates><member><CertificateId>C1</CertificateId></member></Certificates>",
            "ListSSHPublicKeys" => "<SSHPublicKeys><member><SSHPublicKeyId>S1</SSHPublicKeyId></member></SSHPublicKeys>",
            "ListServiceSpecificCredentials" => {
                "<ServiceSpecificCredentials><member><ServiceSpecificCredentialId>A1</ServiceSpecificCredentialId></member></ServiceSpecificCredentials>"
            }
            "ListMFADevices" => "<MFADevices><member><SerialNumber>arn:aws:iam::111111111111:mfa/ana</SerialNumber></member></MFADevices>",
            "ListGroupsForUser" => "<Groups><member><GroupName>developers</GroupName></member></Groups>",
            _ => return error(404, "NoSuchEntity", ""),
        };
        success(action, &format!("{item}<IsTruncated>false</IsTruncated>"))
    });
    let found = account(&server).await.gateway().dependents(&user()).await.unwrap();
    let all = [
        Dependent::LoginProfile,
        Dependent::AccessKey("AKIAEXAMPLEEXAMPLE".into()),
        Dependent::SigningCertificate("C1".into()),
        Dependent::SSHPublicKey("S1".into()),
        Dependent::ServiceSpecificCredential("A1".into()),
        Dependent::MFADevice("arn:aws:iam::111111111111:mfa/ana".into()),
        Dependent::Group("developers".into()),
    ];
    assert_eq!(found.of_user, all.into());
}

#[tokio::test]
async fn what_a_role_or_nobody_has_is_found() {
    let profile = "<InstanceProfiles><member><Path>/</Path><InstanceProfileName>host</InstanceProfileName><InstanceProfileId>AIPAEXAMPLEEXAMPLE1</InstanceProfileId><Arn>arn:aws:iam::111111111111:instance-profile/host</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate><Roles/></member></InstanceProfiles><IsTruncated>false</IsTruncated>";
    let server = Server::start(move |request| success(&request.action, profile));
    let found = account(&server).await.gateway().dependents(&role()).await.unwrap();
    assert_eq!(found.instance_profiles, ["host".to_owned()].into());

    let server = Server::start(|_| error(404, "NoSuchEntity", ""));
    for who in [role(), user()] {
        assert_eq!(account(&server).await.gateway().dependents(&who).await.unwrap(), Default::default());
    }
}

#[tokio::test]
async fn a_user_is_created_at_the_root_path_without_what_it_has_not() {
    let server = Server::start(|request| success(&request.action, "<User><UserId>AIDAEXAMPLEEXAMPLE1</UserId></User>"));
    let identity = Identity {
        name: user(),
        path: Path::root(),
        tags: BTreeMap::new(),
        permissions_boundary: None,
        inline_policies: BTreeMap::new(),
        attached_policies: Default::default(),
        groups: None,
        role: None,
    };
    execute(&server, Action::CreateIdentity(Box::new(identity))).await.unwrap();
    let request = &server.requests()[0];
    assert_eq!((request.get("UserName"), request.get("Path")), (Some("ana"), Some("/")));
    assert_eq!((request.get("PermissionsBoundary"), request.get("Tags.member.1.Key")), (None, None));
}

#[tokio::test]
async fn statement_25_a_sweep_reads_all_pages_however_short_and_takes_what_it_omits_from_the_list_of_roles() {
    let member = |name: &str| {
        format!(
            "<member><Path>/team/</Path><RoleName>{name}</RoleName><RoleId>AROAEXAMPLE{name:0>9}</RoleId><Arn>arn:aws:iam::111111111111:role/team/{name}</Arn>\
             <CreateDate>2026-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>{}</AssumeRolePolicyDocument>",
            encode(TRUST)
        )
    };
    let server = Server::start(move |request| {
        let details = |page: &str| format!("<UserDetailList/><GroupDetailList/><RoleDetailList>{page}</RoleDetailList><Policies/>");
        let role = |name: &str| format!("{}<Tags><member><Key>team</Key><Value>data</Value></member></Tags></member>", member(name));
        let listed = |name: &str| format!("{}<Description>Reads.</Description><MaxSessionDuration>7200</MaxSessionDuration></member>", member(name));
        let result = match (request.action.as_str(), request.get("Marker")) {
            ("GetAccountAuthorizationDetails", None) => details(&role("ONE")) + "<IsTruncated>true</IsTruncated><Marker>m1</Marker>",
            ("GetAccountAuthorizationDetails", Some("m1")) => details("") + "<IsTruncated>true</IsTruncated><Marker>m2</Marker>",
            ("GetAccountAuthorizationDetails", Some("m2")) => details(&role("TWO")) + "<IsTruncated>false</IsTruncated>",
            ("ListRoles", None) => format!("<Roles>{}</Roles><IsTruncated>true</IsTruncated><Marker>m1</Marker>", listed("TWO")),
            ("ListRoles", Some("m1")) => format!("<Roles>{}</Roles><IsTruncated>false</IsTruncated>", listed("ONE")),
            _ => return error(400, "ValidationError", ""),
        };
        success(&request.action, &result)
    });
    let sweep = account(&server).await.gateway().sweep().await.unwrap();
    assert!(server.requests().iter().all(|request| request.get("MaxItems") == Some("1000")));
    for name in ["ONE", "TWO"] {
        let who = IdentityName::Role(name.parse().unwrap());
        let seen = sweep.of(&who, &Default::default(), None).unwrap().identity.unwrap().identity;
        assert_eq!(seen.tags, [("team".to_owned(), "data".to_owned())].into());
        assert_eq!(seen.role, Some(RoleSettings { description: "Reads.".into(), max_session_duration: 7200, trust_policy: document(TRUST) }));
    }
}

#[tokio::test]
async fn a_sweep_shows_whom_a_role_lets_in_whatever_its_path_and_compares_only_what_rolebridge_could_make() {
    let let_in: Arn = "arn:aws:iam::222222222222:user/u".parse().unwrap();
    let role = |name: &str, path: &str, trust: &str| {
        format!(
            "<member><Path>{path}</Path><RoleName>{name}</RoleName><RoleId>AROAEXAMPLE{name:0>9}</RoleId>\
             <Arn>arn:aws:iam::111111111111:role{path}{name}</Arn>\
             <CreateDate>2026-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>{}</AssumeRolePolicyDocument></member>",
            encode(trust)
        )
    };
    let paths = [("PLAIN", "/team/"), ("COLON", "/team:x/"), ("STAR", "/a*b/")];
    let of_service = TRUST.replace(r#""AWS":"arn:aws:iam::222222222222:user/u""#, r#""Service":"x.amazonaws.com""#);
    let linked = role("LINKED", "/aws-service-role/x.amazonaws.com/", &of_service);
    // One that cannot be read hides neither itself nor the others.
    let roles = paths.map(|(name, path)| role(name, path, TRUST)).concat() + &linked + &role("UNREADABLE", "/team/", "no JSON");
    let server = Server::start(move |request| {
        let result = match request.action.as_str() {
            "ListRoles" => format!("<Roles>{roles}</Roles>"),
            _ => format!("<UserDetailList/><GroupDetailList/><RoleDetailList>{roles}</RoleDetailList><Policies/>"),
        };
        success(&request.action, &format!("{result}<IsTruncated>false</IsTruncated>"))
    });
    let sweep = account(&server).await.gateway().sweep().await.unwrap();
    let shadows = sweep.shadow_grants("one", &Default::default(), &[let_in].into(), None);
    assert_eq!(shadows.iter().map(|grant| grant.role.as_str()).collect::<Vec<_>>(), ["COLON", "PLAIN", "STAR", "UNREADABLE"]);
    let compared = |name: &str| {
        let who = IdentityName::Role(name.parse().unwrap());
        sweep.of(&who, &Default::default(), None).unwrap().identity.is_some()
    };
    assert_eq!(["PLAIN", "COLON", "STAR", "LINKED", "UNREADABLE"].map(compared), [true, false, false, false, true]);
}

/// One document that cannot be read does not hide the user or role that it is on.
#[tokio::test]
async fn documents_that_cannot_be_read_are_there_all_the_same() {
    let server = Server::start(|request| {
        let Reply::Answer(status, text) = iam(request) else { panic!("{request:?}") };
        Reply::Answer(status, text.replace(&encode(TRUST), "%7Bdamaged%").replace(&encode(READ), "no%20JSON"))
    });
    let observed = observe(&server, &role(), &[policy_arn()]).await.unwrap();
    let documents: Vec<&Document> = observed.documents().collect();
    assert_eq!(documents.len(), 4, "two inline policies, the trust policy, and a managed one: {documents:?}");
    assert!(documents.iter().all(|document| !document.is_understood()), "{documents:?}");
}

#[tokio::test]
async fn an_account_tells_its_quotas_and_its_alias_if_it_has_one() {
    let server = Server::start(|request| match request.action.as_str() {
        "GetAccountSummary" => success(
            "GetAccountSummary",
            "<SummaryMap><entry><key>AssumeRolePolicySizeQuota</key><value>4096</value></entry>\
             <entry><key>AttachedPoliciesPerRoleQuota</key><value>25</value></entry></SummaryMap>",
        ),
        action => success(action, "<AccountAliases><member>prod</member></AccountAliases><IsTruncated>false</IsTruncated>"),
    });
    let account = account(&server).await;
    let quotas = account.gateway().quotas().await.unwrap();
    let expected = Quotas { trust_policy_size: 4096, attached_policies_per_role: 25, are_known: true, ..Quotas::default() };
    assert_eq!(quotas, expected);
    assert_eq!(account.gateway().console_alias().await.unwrap().as_deref(), Some("prod"));
}

#[tokio::test]
async fn an_empty_summary_is_no_answer_and_no_alias_is_one() {
    let server = Server::start(|request| match request.action.as_str() {
        "GetAccountSummary" => success("GetAccountSummary", "<SummaryMap/>"),
        action => success(action, "<AccountAliases/><IsTruncated>false</IsTruncated>"),
    });
    let account = account(&server).await;
    assert_eq!(account.gateway().quotas().await.unwrap_err().reason, Reason::AWSUnavailable);
    assert_eq!(account.gateway().console_alias().await.unwrap(), None);
}
