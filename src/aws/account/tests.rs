use std::sync::atomic::AtomicUsize;

use aws_credential_types::Credentials;
use aws_credential_types::provider::{SharedCredentialsProvider, future};

use super::*;
use crate::test_server::{ACCOUNT, Reply, Server, ambient, error, owner, success};
use crate::{AccessConfig, LimitsConfig, SecretEntries, Secrets};
use rolebridge_core::action::Action;
use rolebridge_core::failure::Effect;
use rolebridge_core::identity::IdentityName;
use rolebridge_core::world::ObjectKey;

fn identity(account: &str, partition: &str) -> Reply {
    let arn = format!("arn:{partition}:sts::{account}:assumed-role/manager/rolebridge");
    success("GetCallerIdentity", &format!("<Arn>{arn}</Arn><UserId>AROAEXAMPLEEXAMPLE1:rolebridge</UserId><Account>{account}</Account>"))
}

fn delete_role() -> Action {
    Action::DeleteIdentity(IdentityName::Role("r".parse().unwrap()))
}

fn by_role(external_id: &str) -> AccountConfig {
    let access = AccessConfig::AssumeRole {
        role_arn: format!("arn:aws:iam::{ACCOUNT}:role/manager").parse().unwrap(),
        external_id: Some(external_id.into()),
        session_name: "session".into(),
        duration: Duration::from_secs(1800),
    };
    AccountConfig { access, ..ambient() }
}

fn session() -> Reply {
    let credentials = "<Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>";
    let user = format!(
        "<AssumedRoleUser><Arn>arn:aws:sts::{ACCOUNT}:assumed-role/manager/session</Arn><AssumedRoleId>AROAEXAMPLEEXAMPLE1:session</AssumedRoleId></AssumedRoleUser>"
    );
    success("AssumeRole", &format!("{credentials}{user}"))
}

#[tokio::test]
async fn credentials_that_lead_elsewhere_are_told_with_both_accounts() {
    for (account, partition, says) in [("222222222222", "aws", "222222222222"), (ACCOUNT, "aws-cn", "aws-cn")] {
        let server = Server::start(move |_| identity(account, partition));
        let failure = Account::new(&server.base(), ambient(), None).unwrap().verify().await.unwrap_err();
        assert_eq!(failure.reason, Reason::AccountMismatch);
        assert!(failure.message.contains(says) && failure.message.contains(ACCOUNT), "{}", failure.message);
    }
}

#[tokio::test]
async fn sts_is_asked_once_until_it_is_to_be_asked_again() {
    let server = Server::start(|_| identity(ACCOUNT, "aws"));
    let account = Account::new(&server.base(), ambient(), None).unwrap();
    let (first, second) = tokio::join!(account.verify(), account.verify());
    assert_eq!(first.unwrap().account, ambient().id);
    second.unwrap();
    account.verify().await.unwrap();
    assert_eq!(server.actions(), ["GetCallerIdentity"]);
    account.forget_verification();
    account.verify().await.unwrap();
    assert_eq!(server.actions().len(), 2);
}

#[tokio::test]
async fn those_who_ask_together_share_a_failure_and_the_next_asks_anew() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => error(403, "InvalidClientTokenId", "The security token included in the request is invalid."),
        _ => identity(ACCOUNT, "aws"),
    });
    let account = Account::new(&server.base(), ambient(), None).unwrap();
    let (first, second) = tokio::join!(account.verify(), account.verify());
    assert_eq!(first.unwrap_err().reason, Reason::AccessDenied);
    assert_eq!(second.unwrap_err().reason, Reason::AccessDenied);
    assert_eq!(server.actions().len(), 1);
    account.verify().await.unwrap();
    assert_eq!(server.actions().len(), 2);
}

#[tokio::test]
async fn a_success_is_void_when_it_was_forgotten_while_it_came_or_is_too_old() {
    let caller = Caller { arn: "arn:aws:iam::111111111111:user/u".parse().unwrap(), account: ambient().id, partition: ambient().partition };
    let verification = Verification::default();
    let start = Instant::now();
    let fetches = AtomicUsize::new(0);
    let fetch = || {
        fetches.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(caller.clone()))
    };
    let forgotten_meanwhile = async || {
        verification.forget();
        fetch().await
    };
    verification.get(start, Some(0), forgotten_meanwhile).await.unwrap();
    verification.get(start, Some(0), fetch).await.unwrap();
    verification.get(start + VERIFICATION_TTL - Duration::from_secs(1), Some(0), fetch).await.unwrap();
    assert_eq!(fetches.load(Ordering::SeqCst), 2);
    verification.get(start + VERIFICATION_TTL, Some(0), fetch).await.unwrap();
    assert_eq!(fetches.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn statement_27_the_management_role_is_assumed_once_for_all_calls() {
    let server = Server::start(|request| match request.action.as_str() {
        "AssumeRole" => session(),
        "GetCallerIdentity" => identity(ACCOUNT, "aws"),
        action => success(action, ""),
    });
    let account = Account::new(&server.base(), by_role("s3cret-id"), None).unwrap();
    account.verify().await.unwrap();
    account.gateway().execute(&delete_role(), &owner()).await.unwrap();
    assert_eq!(server.actions(), ["AssumeRole", "GetCallerIdentity", "DeleteRole"]);
    let request = &server.requests()[0];
    assert_eq!(request.get("RoleArn"), Some("arn:aws:iam::111111111111:role/manager"));
    assert_eq!(request.get("ExternalId"), Some("s3cret-id"));
    assert_eq!(request.get("RoleSessionName"), Some("session"));
    assert_eq!(request.get("DurationSeconds"), Some("1800"));
}

#[tokio::test]
async fn a_management_role_that_cannot_be_assumed_is_named_and_nothing_was_changed() {
    let server =
        Server::start(|_| error(403, "AccessDenied", "User: arn:aws:iam::999999999999:user/operator is not authorized to perform: sts:AssumeRole"));
    let account = Account::new(&server.base(), by_role("s3cret-id"), None).unwrap();
    let failure = account.gateway().execute(&delete_role(), &owner()).await.unwrap_err();
    assert_eq!((failure.reason, failure.effect), (Reason::AccessDenied, Effect::None));
    assert!(failure.message.starts_with("sts:AssumeRole: AccessDenied: User: arn:aws:iam::999999999999:user/operator"), "{}", failure.message);
    assert!(failure.message.contains("arn:aws:iam::111111111111:role/manager"), "{}", failure.message);
    assert_eq!(server.actions(), ["AssumeRole"]);
    let agent = server.requests()[0].headers("user-agent").concat();
    assert!(agent.starts_with("aws-sdk-rust/"), "a session is for all resources: {agent}");
}

#[tokio::test]
async fn the_external_id_is_kept_out_of_what_sts_says_about_it() {
    let server = Server::start(|_| error(400, "ValidationError", "Value 's3cret-id' at 'externalId' failed to satisfy constraint"));
    let account = Account::new(&server.base(), by_role("s3cret-id"), None).unwrap();
    let failure = account.verify().await.unwrap_err();
    assert_eq!(failure.reason, Reason::RequestRejected);
    assert!(!failure.message.contains("s3cret-id") && failure.message.contains("externalId"), "{}", failure.message);
}

#[tokio::test]
async fn while_sts_is_out_of_order_nothing_is_changed_and_it_goes_away_by_itself() {
    let cut = || match session() {
        Reply::Answer(status, text) => Reply::Answer(status, text[..text.len() - 1].into()),
        other => other,
    };
    let html = || Reply::Answer(200, "<html/>".into());
    for reply in [|| error(503, "ServiceUnavailable", ""), || Reply::Reset, html, cut, || error(400, "Throttling", "")] {
        let server = Server::start(move |_| reply());
        let account = Account::new(&server.base(), by_role("s3cret-id"), None).unwrap();
        let failure = account.gateway().execute(&delete_role(), &owner()).await.unwrap_err();
        assert_eq!((failure.reason, failure.effect), (Reason::AWSUnavailable, Effect::None), "{}", failure.message);
    }
}

fn role(name: &str) -> Ref {
    Ref::Role(ObjectKey::new("data", name))
}

#[tokio::test]
async fn permits_end_with_the_slots_and_with_the_budget() {
    let server = Server::start(|request| success(&request.action, ""));
    let limits = LimitsConfig { requests_per_second: 1, burst: 2, concurrency: 2 };
    let account = Account::new(&server.base(), AccountConfig { limits, ..ambient() }, None).unwrap();
    let permits = (account.try_permit(&role("a")).unwrap(), account.try_permit(&role("b")).unwrap());
    account.try_permit(&role("c")).unwrap_err();
    for _ in 0..4 {
        // Twice the burst: what has begun goes on.
        account.gateway().execute(&delete_role(), &owner()).await.unwrap();
    }
    drop(permits);
    let wait = account.try_permit(&role("d")).unwrap_err();
    assert!(wait > BUSY_RETRY, "{wait:?}");
    // What is to go pays, too, and goes before what comes new.
    let removal = account.removal_permit(&role("e")).unwrap_err();
    assert!(removal > BUSY_RETRY && removal <= wait && account.try_permit(&role("f")).unwrap_err() > wait);
}

#[tokio::test]
async fn removals_that_find_no_slot_have_turns() {
    let server = Server::start(|request| success(&request.action, ""));
    let account = Account::new(&server.base(), ambient(), None).unwrap();
    let permits: Vec<Permit> = (0..REMOVALS).map(|n| account.removal_permit(&role(&n.to_string())).unwrap()).collect();
    let pauses: Vec<Duration> = (0..100).map(|n| account.removal_permit(&role(&format!("waiting-{n}"))).unwrap_err()).collect();
    assert!(pauses[99] > 2 * pauses[0], "{pauses:?}");
    drop(permits);
    drop(account.removal_permit(&role("waiting-99")).unwrap());
}

#[tokio::test]
async fn of_those_who_wait_for_an_account_that_does_not_answer_there_are_few() {
    let server = Server::start(|request| success(&request.action, ""));
    let limits = LimitsConfig { concurrency: 2, ..LimitsConfig::default() };
    let account = Account::new(&server.base(), AccountConfig { limits, ..ambient() }, None).unwrap();
    let waiting = [account.entry_permit(&role("a")).unwrap(), account.entry_permit(&role("b")).unwrap()];
    let pauses: Vec<Duration> = (0..100).map(|n| account.entry_permit(&role(&n.to_string())).unwrap_err()).collect();
    assert!(pauses[99] > 50 * pauses[0], "each has its turn: {pauses:?}");
    drop(waiting);
    drop(account.entry_permit(&role("99")).unwrap());
}

#[tokio::test]
async fn a_partition_that_is_not_known_needs_a_region() {
    let server = Server::start(|_| Reply::Reset);
    let config = AccountConfig { partition: "aws-new".parse().unwrap(), ..ambient() };
    let failure = Account::new(&server.base(), config.clone(), None).unwrap_err();
    assert_eq!(failure.reason, Reason::InvalidSpec);
    let config = AccountConfig { region: Some("new-east-1".into()), ..config };
    Account::new(&server.base(), config, None).unwrap();
}

#[tokio::test]
async fn an_account_is_entered_by_the_session_of_another_and_that_session_is_shared() {
    let server = Server::start(|request| match request.action.as_str() {
        "AssumeRole" => session(),
        "GetCallerIdentity" => identity(ACCOUNT, "aws"),
        action => success(action, ""),
    });
    let base = server.base();
    let hub = Arc::new(Account::new(&base, by_role("of-hub"), None).unwrap());
    let behind = async || Account::new(&base, by_role("of-behind"), Some(hub.clone())).unwrap();
    let (first, second) = (behind().await, behind().await);
    for account in [&first, &second] {
        account.verify().await.unwrap();
        account.gateway().execute(&delete_role(), &owner()).await.unwrap();
    }
    assert_eq!(server.actions(), ["AssumeRole", "AssumeRole", "GetCallerIdentity", "DeleteRole", "AssumeRole", "GetCallerIdentity", "DeleteRole"]);
    let external_ids: Vec<_> = server.requests().iter().filter_map(|request| request.get("ExternalId").map(str::to_owned)).collect();
    assert_eq!(external_ids, ["of-hub", "of-behind", "of-behind"]);
    assert!(first.is_made_from(&by_role("of-behind"), Some(&hub)));
    assert!(!first.is_made_from(&by_role("of-behind"), None) && !hub.is_made_from(&by_role("of-hub"), Some(&hub)));
}

#[tokio::test]
async fn what_keeps_the_operator_out_of_an_account_is_told_behind_it_and_no_secret_with_it() {
    let server = Server::start(|_| error(403, "AccessDenied", "not authorized with of-hub and of-behind"));
    let base = server.base();
    let hub = Arc::new(Account::new(&base, by_role("of-hub"), None).unwrap());
    let behind = Account::new(&base, by_role("of-behind"), Some(hub)).unwrap();
    let failure = behind.verify().await.unwrap_err();
    assert_eq!((failure.reason, server.actions().len()), (Reason::AccessDenied, 1));
    assert!(failure.message.contains("the operator's own identity") && !failure.message.contains("of-"), "{}", failure.message);
}

#[tokio::test]
async fn behind_an_account_its_role_is_what_must_be_trusted() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |_| if asked.fetch_add(1, Ordering::SeqCst) == 0 { session() } else { error(403, "AccessDenied", "no") });
    let base = server.base();
    let hub = Arc::new(Account::new(&base, by_role("of-hub"), None).unwrap());
    let failure = Account::new(&base, by_role("of-behind"), Some(hub)).unwrap().verify().await.unwrap_err();
    assert!(failure.message.contains(&format!("trust policy names arn:aws:iam::{ACCOUNT}:role/manager")), "{}", failure.message);
}

/// One Secret, how often it was read, and how often somebody has put other keys into it.
#[derive(Debug, Default)]
struct OneSecret(AtomicUsize, AtomicUsize);

#[async_trait::async_trait]
impl Secrets for OneSecret {
    async fn read(&self, name: &str) -> Result<SecretEntries, Failure> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let id = format!("AKIAEXAMPLEEXAMPLE0{}", self.1.load(Ordering::SeqCst));
        let entries = [("AWS_ACCESS_KEY_ID", id.as_str()), ("AWS_SECRET_ACCESS_KEY", "s3cret-key")];
        match name {
            "keys" => Ok(entries.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec())).into()),
            "empty" => Ok(SecretEntries::new()),
            _ => Err(Failure::refused(Reason::SecretNotUsable, format!("Secret {name} does not exist"))),
        }
    }
}

fn by_secret(name: &str) -> AccountConfig {
    AccountConfig { access: AccessConfig::Secret(name.into()), ..ambient() }
}

#[tokio::test]
async fn the_keys_of_a_secret_are_read_once_for_many_calls_and_lead_further() {
    let server = Server::start(|request| match request.action.as_str() {
        "AssumeRole" => session(),
        "GetCallerIdentity" => identity(ACCOUNT, "aws"),
        action => success(action, ""),
    });
    let secrets = Arc::new(OneSecret::default());
    let base = server.base_with(secrets.clone());
    let gate = Arc::new(Account::new(&base, by_secret("keys"), None).unwrap());
    gate.verify().await.unwrap();
    gate.gateway().execute(&delete_role(), &owner()).await.unwrap();
    let behind = Account::new(&base, by_role("of-behind"), Some(gate)).unwrap();
    behind.verify().await.unwrap();
    assert_eq!(server.actions(), ["GetCallerIdentity", "DeleteRole", "AssumeRole", "GetCallerIdentity"]);
    assert_eq!(secrets.0.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn without_a_usable_secret_nothing_is_called_there_or_behind() {
    let server = Server::start(|request| success(&request.action, ""));
    let base = server.base_with(Arc::new(OneSecret::default()));
    for (name, says) in [("missing", "Secret missing does not exist"), ("empty", "Secret empty: key AWS_ACCESS_KEY_ID is missing")] {
        let gate = Arc::new(Account::new(&base, by_secret(name), None).unwrap());
        let behind = Account::new(&base, by_role("of-behind"), Some(gate.clone())).unwrap();
        for failure in [gate.verify().await.unwrap_err(), behind.verify().await.unwrap_err()] {
            assert_eq!((failure.reason, failure.effect), (Reason::SecretNotUsable, Effect::None));
            assert!(failure.message.contains(says), "{}", failure.message);
        }
    }
    assert_eq!(server.actions(), Vec::<String>::new());
}

#[tokio::test]
async fn keys_that_were_exchanged_in_a_secret_are_verified_themselves() {
    let secrets = Arc::new(OneSecret::default());
    let led = secrets.clone();
    let server = Server::start(move |_| match led.1.load(Ordering::SeqCst) {
        1 => identity("222222222222", "aws"),
        _ => identity(ACCOUNT, "aws"),
    });
    let account = Account::new(&server.base_with(secrets.clone()), by_secret("keys"), None).unwrap();
    account.verify().await.unwrap();
    account.credentials.expire().await;
    account.verify().await.unwrap();
    assert_eq!(server.actions().len(), 1, "the same keys lead where they led");
    let exchange = async || {
        secrets.1.fetch_add(1, Ordering::SeqCst);
        account.credentials.expire().await;
    };
    exchange().await;
    assert_eq!(account.verify().await.unwrap_err().reason, Reason::AccountMismatch);
    exchange().await;
    account.verify().await.unwrap();
    assert_eq!(server.actions().len(), 3);
}

/// What AWS's own chain finds: credentials, and how often somebody has put others in their place.
#[derive(Clone, Debug, Default)]
struct Environment(Arc<AtomicUsize>);

impl aws_credential_types::provider::ProvideCredentials for Environment {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let id = format!("ASIAEXAMPLEEXAMPLE0{}", self.0.load(Ordering::SeqCst));
        future::ProvideCredentials::ready(Ok(Credentials::new(id, "secret", Some("token".into()), None, "test")))
    }
}

#[tokio::test]
async fn the_operators_own_credentials_are_verified_anew_when_others_take_their_place() {
    let environment = Environment::default();
    let led = environment.clone();
    let server = Server::start(move |_| match led.0.load(Ordering::SeqCst) {
        1 => identity("222222222222", "aws"),
        _ => identity(ACCOUNT, "aws"),
    });
    let own = Arc::new(CachedCredentials::own(SharedCredentialsProvider::new(environment.clone())));
    let account = Account::new(&BaseConfig { own, ..server.base() }, ambient(), None).unwrap();
    account.verify().await.unwrap();
    account.credentials.expire().await;
    account.verify().await.unwrap();
    assert_eq!(server.actions().len(), 1, "the same credentials lead where they led");
    environment.0.store(1, Ordering::SeqCst);
    account.verify().await.unwrap();
    assert_eq!(server.actions().len(), 1, "those that are known are still in use");
    account.credentials.expire().await;
    assert_eq!(account.verify().await.unwrap_err().reason, Reason::AccountMismatch);
}
