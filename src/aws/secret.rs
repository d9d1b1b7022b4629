//! Keys that are kept in a Secret.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};

use rolebridge_api::Reason;
use rolebridge_core::failure::Failure;

const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";

/// The entries of a Secret.
pub type SecretEntries = BTreeMap<String, Vec<u8>>;

/// Where Secrets are read from.
#[async_trait]
pub trait Secrets: fmt::Debug + Send + Sync {
    /// The entries of the Secret of this name.
    ///
    /// # Errors
    /// [`Reason::SecretNotUsable`] where there is none or it may not be read, [`Reason::AWSUnavailable`] where that could not be found out. The message
    /// has nothing of what is in it.
    async fn read(&self, name: &str) -> Result<SecretEntries, Failure>;
}

/// The keys in a Secret, read anew each time: rotation needs no restart.
#[derive(Debug)]
pub(super) struct SecretKeys {
    secrets: Arc<dyn Secrets>,
    name: String,
}

impl SecretKeys {
    pub(super) fn new(secrets: Arc<dyn Secrets>, name: &str) -> Self {
        Self { secrets, name: name.to_owned() }
    }

    async fn read(&self) -> Result<Credentials, CredentialsError> {
        let read = self.secrets.read(&self.name).await;
        let keys = read.and_then(|entries| keys(&entries).map_err(|problem| unusable(&self.name, &problem)));
        keys.map_err(|failure| CredentialsError::provider_error(SecretError(failure)))
    }
}

impl ProvideCredentials for SecretKeys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.read())
    }
}

/// Why a Secret gives no keys, on its way through the SDK.
#[derive(Debug)]
pub(super) struct SecretError(pub(super) Failure);

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl Error for SecretError {}

fn unusable(name: &str, problem: &str) -> Failure {
    Failure::refused(Reason::SecretNotUsable, format!("spec.access.secretRef: Secret {name}: {problem}"))
}

/// The keys, or what is wrong with them, without a word of theirs. A line break around a value comes from the file that it was taken from.
fn keys(entries: &SecretEntries) -> Result<Credentials, String> {
    let value = |key: &str| match entries.get(key).map(|value| std::str::from_utf8(value).map(str::trim)) {
        None | Some(Ok("")) => Ok(None),
        Some(Ok(text)) if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Some(text.to_owned())),
        Some(_) => Err(format!("key {key} is malformed: it has characters that no such value has")),
    };
    let needed = |key: &str| value(key)?.ok_or_else(|| format!("key {key} is missing or empty; add it"));
    let (id, secret, token) = (needed(ACCESS_KEY_ID)?, needed(SECRET_ACCESS_KEY)?, value(SESSION_TOKEN)?);
    // STS API reference, accessKeyIdType.
    let is_id = (16..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_id {
        Ok(Credentials::new(id, secret, token, None, "Secret"))
    } else {
        Err(format!("key {ACCESS_KEY_ID} is malformed: write the ID of an access key"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(of: &[(&str, &str)]) -> SecretEntries {
        of.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
    }

    const ID: (&str, &str) = (ACCESS_KEY_ID, "AKIAEXAMPLEEXAMPLE01\n");
    const SECRET: (&str, &str) = (SECRET_ACCESS_KEY, " wJalr/XUtn+FEMI=\n");

    #[test]
    fn keys_are_taken_without_the_line_breaks_around_them() {
        let long_lived = keys(&entries(&[ID, SECRET, (SESSION_TOKEN, "")])).unwrap();
        assert_eq!((long_lived.access_key_id(), long_lived.secret_access_key()), ("AKIAEXAMPLEEXAMPLE01", "wJalr/XUtn+FEMI="));
        assert_eq!((long_lived.session_token(), long_lived.expiry()), (None, None));
        let session = keys(&entries(&[ID, SECRET, (SESSION_TOKEN, "token==")])).unwrap();
        assert_eq!(session.session_token(), Some("token=="));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key_and_never_repeated() {
        for (entries, says) in [
            (entries(&[SECRET]), "key AWS_ACCESS_KEY_ID is missing"),
            (entries(&[ID, (SECRET_ACCESS_KEY, " \n")]), "key AWS_SECRET_ACCESS_KEY is missing or empty"),
            (entries(&[("id", "AKIAEXAMPLEEXAMPLE01"), SECRET]), "key AWS_ACCESS_KEY_ID is missing"),
            (entries(&[(ACCESS_KEY_ID, "canary"), SECRET]), "key AWS_ACCESS_KEY_ID is malformed"),
            (entries(&[ID, (SECRET_ACCESS_KEY, "canary of two words")]), "key AWS_SECRET_ACCESS_KEY is malformed"),
            (entries(&[ID, SECRET, (SESSION_TOKEN, "canäry")]), "key AWS_SESSION_TOKEN is malformed"),
        ] {
            let problem = keys(&entries).unwrap_err();
            assert!(problem.contains(says) && !problem.contains("can"), "{problem}");
        }
    }
}
