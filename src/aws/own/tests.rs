use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;

use super::*;
use crate::credentials::CachedCredentials;
use crate::test_server::{Reply, Server, error, success};
use rolebridge_api::Reason;

const OPERATOR: &str = "arn:aws:sts::900000000000:assumed-role/operator/pod";

fn identity() -> Reply {
    success("GetCallerIdentity", &format!("<Arn>{OPERATOR}</Arn><UserId>AROAEXAMPLEEXAMPLE1:pod</UserId><Account>900000000000</Account>"))
}

/// What the operator finds that has no credentials, for this reason.
async fn without_credentials(server: &Server, why: fn() -> CredentialsError) -> Result<Option<Arn>, Failure> {
    let provider = SharedCredentialsProvider::new(provide_credentials_fn(move || async move { Err(why()) }));
    let base = BaseConfig { own: Arc::new(CachedCredentials::own(provider)), ..server.base() };
    OwnIdentity::new(base).arn(None).await
}

#[tokio::test]
async fn sts_is_asked_once_for_all_and_again_for_other_credentials() {
    let server = Server::start(|_| identity());
    let base = server.base();
    let own = OwnIdentity::new(base.clone());
    let (first, second) = tokio::join!(own.arn(None), own.arn(None));
    assert_eq!(first.unwrap().unwrap().as_str(), OPERATOR);
    assert_eq!(second.unwrap().unwrap().account(), "900000000000");
    assert_eq!(server.actions(), ["GetCallerIdentity"]);
    // Others come, which may be of somebody else.
    let others = SharedCredentialsProvider::new(crate::backend::fixed_keys(None));
    let own = OwnIdentity { known: own.known, base: BaseConfig { own: Arc::new(CachedCredentials::own(others)), ..base } };
    own.known.lock().await.as_mut().unwrap().generation = Some(0);
    own.arn(None).await.unwrap();
    assert_eq!(server.actions().len(), 2);
}

#[tokio::test]
async fn who_has_no_credentials_is_nobody_and_who_cannot_get_them_is_not_known() {
    let server = Server::start(|_| identity());
    assert_eq!(without_credentials(&server, || CredentialsError::not_loaded("nothing offers any")).await.unwrap(), None);
    let failure = without_credentials(&server, || CredentialsError::provider_error("the pod's agent is away")).await.unwrap_err();
    assert_eq!(failure.reason, Reason::AWSUnavailable);
    let failure = without_credentials(&server, || CredentialsError::invalid_configuration("half a key")).await.unwrap_err();
    assert_eq!(failure.reason, Reason::AccessDenied);
    assert!(server.actions().is_empty());
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => error(400, "Throttling", "Rate exceeded"),
        _ => identity(),
    });
    let own = OwnIdentity::new(server.base());
    assert_eq!(own.arn(None).await.unwrap_err().reason, Reason::AWSUnavailable);
    assert!(own.arn(None).await.unwrap().is_some());
}
