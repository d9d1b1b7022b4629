//! Reading AWS's answers, without ever taking a damaged one for a smaller one.

use std::str::FromStr;

use aws_sdk_iam::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_iam::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_iam::error::BoxError;
use aws_sdk_iam::types::Tag;

use rolebridge_api::Reason;
use rolebridge_core::document::Document;
use rolebridge_core::failure::Failure;
use rolebridge_core::identity::DEFAULT_SESSION_SECONDS;
use rolebridge_core::names::{NameError, Path};
use rolebridge_core::ownership::Tags;

/// Refuses answers that are cut short, or that are not AWS's at all.
///
/// The SDK's reader takes the end of the text for the end of every element that is open, so a list that is cut short would be a shorter list with
/// nothing after it, and it does not look at the answers to deletions at all, so a proxy's page would be a success.
#[derive(Debug)]
pub(crate) struct CompleteReply;

impl Intercept for CompleteReply {
    fn name(&self) -> &'static str {
        "CompleteReply"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        match context.response().body().bytes() {
            Some(body) if is_complete(body) => Ok(()),
            _ => Err("it is not, or not all of, an answer of AWS's".into()),
        }
    }
}

/// Whether a text begins and ends as the answer to an action of AWS's query protocol: `<CreateRoleResponse ...>...</CreateRoleResponse>`, or
/// `<ErrorResponse ...>...</ErrorResponse>`.
fn is_complete(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    let text = text.trim_start_matches('\u{feff}').trim();
    let text = match text.strip_prefix("<?xml") {
        Some(declared) => declared.split_once("?>").map_or("", |(_, rest)| rest).trim_start(),
        None => text,
    };
    let Some(name) = text.strip_suffix('>').and_then(|rest| rest.rsplit_once("</")).map(|(_, name)| name) else { return false };
    name.ends_with("Response")
        && text
            .strip_prefix('<')
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with(|c: char| c == '>' || c.is_whitespace()))
}

/// An answer that says something that cannot be.
pub(crate) fn unreadable(operation: &str, what: &str) -> Failure {
    Failure::refused(Reason::AWSUnavailable, format!("{operation}: AWS's answer cannot be used: {what}"))
}

/// A value of a type whose values are checked.
pub(in super::super) fn value<T: FromStr<Err = NameError>>(operation: &str, field: &str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error: NameError| unreadable(operation, &format!("{field}: {error}")))
}

/// The path of an object. `what` names the object for people.
///
/// IAM knows paths that Rolebridge cannot make (AWS's own, and ones with wildcards): what has one is somebody else's.
pub(super) fn path(what: &str, text: &str) -> Result<Path, Failure> {
    text.parse().map_err(|_| {
        Failure::refused(Reason::Conflict, format!("{what} exists in the path {text}, where Rolebridge makes nothing. Choose another name."))
    })
}

/// A policy document, percent-encoded as IAM gives it. One that nobody can read is there all the same: it differs from all that is wanted, and to refuse the
/// answer for it would be to leave it in force.
pub(super) fn document(operation: &str, text: Option<&str>) -> Result<Document, Failure> {
    text.map(Document::read).ok_or_else(|| unreadable(operation, "the policy document is missing"))
}

/// The longest session of a role, in seconds.
pub(super) fn session_seconds(operation: &str, seconds: Option<i32>) -> Result<u32, Failure> {
    seconds.map_or(Ok(DEFAULT_SESSION_SECONDS), u32::try_from).map_err(|_| unreadable(operation, "MaxSessionDuration is negative"))
}

/// The IDs of versions of a policy, the oldest first. IAM counts them up from `v1` and never gives a number twice; their dates are whole seconds
/// only.
pub(super) fn oldest_first<'v>(operation: &str, ids: impl Iterator<Item = Option<&'v str>>) -> Result<Vec<String>, Failure> {
    let numbered = ids.map(|id| {
        let id = id.unwrap_or_default();
        let number: Option<u64> = id.strip_prefix('v').and_then(|number| number.parse().ok());
        number.map(|number| (number, id.to_owned())).ok_or_else(|| unreadable(operation, &format!("VersionId is {id:?}")))
    });
    let mut numbered = numbered.collect::<Result<Vec<_>, Failure>>()?;
    numbered.sort_unstable();
    Ok(numbered.into_iter().map(|(_, id)| id).collect())
}

pub(super) fn tags(tags: &[Tag]) -> Tags {
    tags.iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_answers_of_aws_are_complete() {
        let whole = "<?xml version=\"1.0\"?>\n<GetRoleResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><A>é</A></GetRoleResponse>\n";
        assert!(is_complete(whole.as_bytes()));
        assert!(is_complete(b"<ErrorResponse><Error/></ErrorResponse>"));
        let end = whole.trim_end().len();
        for cut in 0..end {
            assert!(!is_complete(&whole.as_bytes()[..cut]), "cut at {cut}");
        }
        for other in ["", "<html><body>GetRoleResponse</body></html>", "{}", "<AResponse></BResponse>", "</AResponse>", "<AResponseX></AResponse>"] {
            assert!(!is_complete(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn statement_11_documents_are_decoded_and_what_is_none_is_there_all_the_same() {
        let document = document("iam:GetRole", Some("%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%5D%7D")).unwrap();
        assert_eq!(document.version(), Some("2012-10-17"));
        for other in ["%7B%2", "%7B%22Version%22", "%22text%22", "", "%FF", "%7B%22Version%22%3A2012%7D"] {
            assert!(!super::document("iam:GetRole", Some(other)).unwrap().is_understood(), "{other}");
        }
        let failure = super::document("iam:GetRole", None).unwrap_err();
        assert_eq!((failure.reason, failure.message.starts_with("iam:GetRole: ")), (Reason::AWSUnavailable, true), "{}", failure.message);
    }

    #[test]
    fn an_object_in_a_path_of_aws_is_somebody_elses() {
        let failure = path("role AWSServiceRoleForSupport", "/aws-service-role/support.amazonaws.com/").unwrap_err();
        assert_eq!(failure.reason, Reason::Conflict);
        assert!(failure.message.contains("AWSServiceRoleForSupport"), "{}", failure.message);
    }
}
