//! Who asked: the user agent of a change names the resource that it is made for. CloudTrail records that.

use aws_sdk_iam::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_iam::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_iam::error::BoxError;

use rolebridge_core::ownership::Owner;

/// The headers in which the SDK says who calls, both alike. CloudTrail records the first; the second is signed.
const HEADERS: [&str; 2] = ["user-agent", "x-amz-user-agent"];
/// Longest part that is passed on. Names and IDs are shorter. CloudTrail keeps 1 KB of a user agent, of which the SDK takes less than 200 characters.
const LONGEST_PART: usize = 256;

tokio::task_local! {
    /// Whom the calls are for that this task makes now.
    static ON_BEHALF: String;
}

/// Makes calls on behalf of an owner. Each of them names it.
///
/// The SDK takes interceptors for a whole client or for one call, and neither serves. A client for each owner would begin without what the account's client has
/// learnt, such as how far the machine's clock is off. What has to be added to each call can be forgotten with the next one.
pub(super) async fn on_behalf_of<T>(owner: &Owner, calls: impl Future<Output = T>) -> T {
    ON_BEHALF.scope(told(owner), calls).await
}

/// What a user agent says of an owner: `rolebridge (INSTALLATION; KIND/NAMESPACE/NAME)`, a product with a comment as HTTP defines them.
fn told(owner: &Owner) -> String {
    format!("rolebridge ({}; {})", harmless(&owner.installation), harmless(&owner.resource))
}

/// A text that cannot end the comment that it stands in, nor the header. IDs of installations and names of resources have none of what is replaced.
fn harmless(text: &str) -> String {
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || "_.:/=+-@".contains(c);
    text.chars().take(LONGEST_PART).map(|c| if is_harmless(c) { c } else { '?' }).collect()
}

/// Puts whom a call is for in front of the SDK's own user agent, where nothing cuts it off.
#[derive(Debug)]
pub(crate) struct Attribution;

impl Intercept for Attribution {
    fn name(&self) -> &'static str {
        "Attribution"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Ok(told) = ON_BEHALF.try_with(String::clone) else { return Ok(()) };
        let headers = context.request_mut().headers_mut();
        for header in HEADERS {
            let agent = headers.get(header).map_or_else(|| told.clone(), |of_sdk| format!("{told} {of_sdk}"));
            headers.try_insert(header, agent)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::Account;
    use crate::test_server::{Server, ambient, owner, success};
    use rolebridge_core::action::Action;
    use rolebridge_core::identity::IdentityName;
    use rolebridge_core::ownership::Owner;

    fn delete_role() -> Action {
        Action::DeleteIdentity(IdentityName::Role("r".parse().unwrap()))
    }

    /// What the last request said in both headers, once each.
    fn agent(server: &Server) -> String {
        let request = server.requests().pop().unwrap();
        let [agent] = request.headers("user-agent").try_into().unwrap();
        assert_eq!(request.headers("x-amz-user-agent"), [agent]);
        agent.to_owned()
    }

    #[tokio::test]
    async fn a_change_names_whom_it_is_for_and_nothing_else_does() {
        let server = Server::start(|request| success(&request.action, ""));
        let account = Account::new(&server.base(), ambient(), None).unwrap();
        let alice = Owner { resource: "BastionUser/team/alice".into(), ..owner() };
        for (owner, says) in [(owner(), "rolebridge (one; CrossAccountRole/data/reader) "), (alice, "rolebridge (one; BastionUser/team/alice) ")] {
            account.gateway().execute(&delete_role(), &owner).await.unwrap();
            let agent = agent(&server);
            assert!(agent.strip_prefix(says).is_some_and(|rest| rest.starts_with("aws-sdk-rust/")), "{agent}");
        }
        assert_eq!(account.gateway().console_alias().await, Ok(None));
        assert!(agent(&server).starts_with("aws-sdk-rust/"));
    }

    #[tokio::test]
    async fn changes_at_the_same_time_do_not_mix() {
        let server = Server::start(|request| success(&request.action, ""));
        let account = Account::new(&server.base(), ambient(), None).unwrap();
        let change = async |name: &str| {
            let owner = Owner { resource: format!("CrossAccountRole/data/{name}"), ..owner() };
            account.gateway().execute(&Action::DeleteIdentity(IdentityName::Role(name.parse().unwrap())), &owner).await.unwrap();
        };
        tokio::join!(change("a"), change("b"), change("c"), change("d"));
        let requests = server.requests();
        assert_eq!(requests.len(), 4);
        for request in requests {
            let says = format!("rolebridge (one; CrossAccountRole/data/{}) ", request.get("RoleName").unwrap());
            assert!(request.headers("user-agent")[0].starts_with(&says), "{request:?}");
        }
    }

    #[tokio::test]
    async fn no_name_breaks_the_header_or_grows_it_beyond_what_cloudtrail_keeps() {
        let server = Server::start(|request| success(&request.action, ""));
        let account = Account::new(&server.base(), ambient(), None).unwrap();
        let long = "n".repeat(100_000);
        for (installation, resource, says) in [
            ("a\r\nx-amz-evil: 1", "K/n/b\r\n\r\nAction=DeleteUser", "a??x-amz-evil:?1; K/n/b????Action=DeleteUser"),
            ("a) rolebridge (b; K/n/c", "K/n/\\\"\u{0}\u{7f}é\u{202e}", "a??rolebridge??b??K/n/c; K/n/??????"),
            ("", "", "; "),
            ("prod/eu_1.a:b=c+d@e", "CrossAccountRole/data/a.b-c", "prod/eu_1.a:b=c+d@e; CrossAccountRole/data/a.b-c"),
            (&long, &long, &format!("{0}; {0}", "n".repeat(256))),
        ] {
            let owner = Owner { installation: installation.into(), resource: resource.into(), ..owner() };
            account.gateway().execute(&delete_role(), &owner).await.unwrap();
            let agent = agent(&server);
            let rest = agent.strip_prefix(&format!("rolebridge ({says}) aws-sdk-rust/"));
            assert!(rest.is_some_and(|rest| !rest.contains("rolebridge (")) && agent.len() < 900, "{agent}");
            assert!(server.requests().pop().unwrap().headers("x-amz-evil").is_empty());
        }
    }
}
