//! Whose an IAM object is: the owner tags that say it, and the unique ID that proves it.
//!
//! Tags are put on at creation. Whoever can tag can claim, so where a unique ID is pinned in a resource's status both must match.

use std::collections::BTreeMap;

use super::names::{UniqueID, same_name};
use super::outcome::Problem;
use rolebridge_api::Reason;

/// Tags of an IAM object.
pub type Tags = BTreeMap<String, String>;

/// Tag key: which installation of Rolebridge an object belongs to.
pub const INSTALLATION: &str = "rolebridge.io/installation";
/// Tag key: which resource an object belongs to, as `kind/namespace/name`.
pub const OWNER: &str = "rolebridge.io/owner";
/// Tag key: the UID of that resource.
pub const UID: &str = "rolebridge.io/uid";

/// The resource that an IAM object is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// ID of the installation.
    pub installation: String,
    /// `kind/namespace/name`, at most 256 characters since each name has at most 63.
    pub resource: String,
    /// UID of the Kubernetes object.
    pub uid: String,
    /// What becomes of what an earlier object of the same name has left.
    pub earlier: Earlier,
}

/// What becomes of what bears the owner tags of an earlier object of a resource's name, as after a rebuild of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// It is the resource's own: the AWSAccount says so.
    TakenOver,
    /// It stays as it is. The AWSAccount of this name does not say otherwise: tags prove nothing to those who can tag.
    LeftTo(String),
    /// It is somebody else's: what was made for the resource was deleted in AWS.
    Another,
}

impl Owner {
    /// The tags that say so.
    pub fn tags(&self) -> Tags {
        [(INSTALLATION, &self.installation), (OWNER, &self.resource), (UID, &self.uid)].map(|(key, value)| (key.to_owned(), value.clone())).into()
    }

    /// Whether tags name this owner, be it an earlier object of its name.
    pub fn is_named_by(&self, tags: &Tags) -> bool {
        is_named(tags, &self.installation, &self.resource)
    }

    /// Whether tags name this owner, down to the very Kubernetes object.
    pub fn is_told_by(&self, tags: &Tags) -> bool {
        self.is_named_by(tags) && tag(tags, UID) == Some(&self.uid)
    }

    /// Whether tags tell of the very Kubernetes object, under the ID of another installation.
    pub fn is_of_another_installation(&self, tags: &Tags) -> bool {
        tag(tags, UID) == Some(&self.uid) && tag(tags, OWNER) == Some(&self.resource) && tag(tags, INSTALLATION) != Some(&self.installation)
    }

    /// Checks that an object of IAM may be written to for this owner.
    ///
    /// `what` names the object for people, `id` is its unique ID, `pinned` the one in the resource's status, if any.
    ///
    /// # Errors
    /// [`Reason::Conflict`] where the tags name nobody or somebody else, or an earlier object of this owner's name whose things it does not take over.
    /// [`Reason::IdentityChanged`] where they name this owner on an object with another unique ID than the pinned one, or an earlier object of its name
    /// where what was made for this one was deleted.
    pub fn check(&self, what: &str, tags: &Tags, id: &UniqueID, pinned: Option<&UniqueID>) -> Result<(), Problem> {
        if !self.is_named_by(tags) {
            return Err(Problem::new(Reason::Conflict, self.conflict(what, tags, pinned == Some(id))));
        }
        match (pinned, &self.earlier) {
            (Some(pinned), _) if pinned != id => Err(Problem::new(
                Reason::IdentityChanged,
                format!(
                    "{what} has the unique ID {id}, but {pinned} was made for this resource: somebody deleted it and made another. If it is not needed, delete it in AWS; it is then made again."
                ),
            )),
            (Some(_), _) | (None, Earlier::TakenOver) => Ok(()),
            (None, _) if self.is_told_by(tags) => Ok(()),
            (None, Earlier::Another) => Err(Problem::new(
                Reason::IdentityChanged,
                format!(
                    "{what} bears the owner tags of an earlier object of this name, and what was made for this one was deleted in AWS: somebody made another. If it is not needed, delete it in AWS; it is then made again."
                ),
            )),
            (None, Earlier::LeftTo(account)) => Err(Problem::new(
                Reason::Conflict,
                format!(
                    "{what} bears the owner tags of an earlier object of this name, and is not touched: tags prove nothing to those who can tag. If the cluster was rebuilt or restored, have a platform administrator set spec.ownership.takeOver: SameInstallation on AWSAccount {account}. Otherwise choose another name, or delete it in AWS if nobody needs it."
                ),
            )),
        }
    }

    fn conflict(&self, what: &str, tags: &Tags, made_by_us: bool) -> String {
        match tags.get(OWNER) {
            _ if made_by_us => format!(
                "{what} was made for this resource, but its owner tags were changed or removed, so it is not touched. Put back {OWNER}={} and {INSTALLATION}={}.",
                self.resource, self.installation
            ),
            // Whoever may write resources here may not be able to read those of others.
            Some(_) if tags.get(INSTALLATION) != Some(&self.installation) => {
                format!("{what} belongs to a resource of another installation of Rolebridge. Choose another name.")
            }
            Some(owner) if namespace(owner) == namespace(&self.resource) => {
                format!("{what} belongs to {owner}. Choose another name, or delete that resource first.")
            }
            Some(_) => format!("{what} belongs to a resource of another namespace. Choose another name."),
            None => format!(
                "{what} exists and was not made by Rolebridge, so it is not touched. Choose another name, or delete it in AWS if nobody needs it."
            ),
        }
    }
}

/// Whether tags name a resource (`kind/namespace/name`) of an installation as the owner.
pub fn is_named(tags: &Tags, installation: &str, resource: &str) -> bool {
    tag(tags, INSTALLATION) == Some(installation) && tag(tags, OWNER) == Some(resource)
}

/// The namespace of a resource that is given as `kind/namespace/name`.
fn namespace(resource: &str) -> Option<&str> {
    resource.split('/').nth(1)
}

fn tag<'t>(tags: &'t Tags, key: &str) -> Option<&'t str> {
    tags.iter().find(|(k, _)| same_name(k, key)).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner { installation: "one".into(), resource: "CrossAccountRole/data/reader".into(), uid: "u1".into(), earlier: Earlier::TakenOver }
    }

    fn id(text: &str) -> UniqueID {
        text.parse().unwrap()
    }

    #[test]
    fn an_object_is_ours_by_installation_and_resource_whatever_the_uid() {
        let before = Owner { uid: "u0".into(), ..owner() };
        assert_eq!(owner().check("role r", &before.tags(), &id("AROAEXAMPLEROLE00001"), None), Ok(()));
        assert_eq!(owner().check("role r", &before.tags(), &id("AROAEXAMPLEROLE00001"), Some(&id("AROAEXAMPLEROLE00001"))), Ok(()));
    }

    #[test]
    fn who_takes_nothing_over_owns_only_what_bears_its_own_uid() {
        let id = id("AROAEXAMPLEROLE00001");
        let made_anew = Owner { earlier: Earlier::Another, ..owner() };
        let careful = Owner { earlier: Earlier::LeftTo("prod".into()), ..owner() };
        assert_eq!(careful.check("role r", &owner().tags(), &id, None), Ok(()));
        assert_eq!(made_anew.check("role r", &owner().tags(), &id, None), Ok(()));
        let mut without_uid = owner().tags();
        without_uid.remove(UID);
        for tags in [Owner { uid: "u0".into(), ..owner() }.tags(), without_uid] {
            assert_eq!(made_anew.check("role r", &tags, &id, None).unwrap_err().reason, Reason::IdentityChanged);
            let conflict = careful.check("role r", &tags, &id, None).unwrap_err();
            assert_eq!(conflict.reason, Reason::Conflict);
            assert!(conflict.message.contains("spec.ownership.takeOver: SameInstallation on AWSAccount prod"), "{}", conflict.message);
            // The unique ID that a restored status has proves more than the UID of an object.
            assert_eq!(careful.check("role r", &tags, &id, Some(&id)), Ok(()));
        }
        assert_eq!(made_anew.check("role r", &Tags::new(), &id, None).unwrap_err().reason, Reason::Conflict);
    }

    #[test]
    fn no_tags_another_resource_and_another_installation_are_conflicts() {
        let other = Owner { resource: "CrossAccountRole/data/writer".into(), ..owner() };
        let hidden = Owner { resource: "CrossAccountRole/other/secret".into(), ..owner() };
        let elsewhere = Owner { installation: "two".into(), resource: "CrossAccountRole/data/secret".into(), ..owner() };
        for (tags, says) in [
            (Tags::new(), "not made by Rolebridge"),
            (other.tags(), "CrossAccountRole/data/writer"),
            (hidden.tags(), "another namespace"),
            (elsewhere.tags(), "another installation"),
        ] {
            let problem = owner().check("role r", &tags, &id("AROAEXAMPLEROLE00001"), None).unwrap_err();
            assert_eq!(problem.reason, Reason::Conflict);
            assert!(problem.message.contains(says) && !problem.message.contains("secret"), "{}", problem.message);
        }
    }

    #[test]
    fn statement_47_matching_tags_on_another_unique_id_are_no_proof() {
        let problem = owner().check("role r", &owner().tags(), &id("AROAEXAMPLEROLE00002"), Some(&id("AROAEXAMPLEROLE00001"))).unwrap_err();
        assert_eq!(problem.reason, Reason::IdentityChanged);
    }

    #[test]
    fn removed_owner_tags_are_told_with_how_to_put_them_back() {
        let problem = owner().check("role r", &Tags::new(), &id("AROAEXAMPLEROLE00001"), Some(&id("AROAEXAMPLEROLE00001"))).unwrap_err();
        assert_eq!(problem.reason, Reason::Conflict);
        assert!(problem.message.contains("rolebridge.io/owner=CrossAccountRole/data/reader"), "{}", problem.message);
    }
}
