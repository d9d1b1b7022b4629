//! Which resources a change of something concerns: the index by which watches wake reconciles.
//!
//! A resource needs what its last reading named, so that it is woken also by the loss of what it no longer names. Nothing here decides: a
//! reconcile too many finds nothing to do.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::transitive_tags::MOST_HOPS;
use crate::core::world::{ObjectKey, Ref};

/// Something that resources depend on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependency {
    /// An AWSAccount.
    Account(String),
    /// A BastionUser.
    User(ObjectKey),
    /// A CrossAccountRole.
    Role(ObjectKey),
    /// The BastionUsers of a namespace, by their labels.
    UsersOf(String),
    /// A namespace, with its labels.
    Namespace(String),
    /// A ConfigMap.
    ConfigMap(ObjectKey),
    /// A customer-managed policy in an AWSAccount that the resource attaches, or has as boundary, by its name in small letters.
    Attached(String, String),
    /// The same that the resource declares as its own: a change of it concerns those who attach one of this name.
    Declared(String, String),
    /// The roles by which the operator works, as AWSAccounts name them, of which no role of others may be one that the resource assumes.
    OperatorsRoles,
}

/// Who needs what, in both directions.
#[derive(Debug, Default)]
pub struct Relations {
    needs: BTreeMap<Ref, BTreeSet<Dependency>>,
    needed_by: BTreeMap<Dependency, BTreeSet<Ref>>,
}

impl Relations {
    /// Notes what a resource needs from now on. Returns whom the change of its needs concerns: the users and roles that it names or named, and the
    /// accounts that it no longer refers to, which may be waiting for that; and those who attach a policy that it declares or declared.
    pub fn set(&mut self, of: &Ref, needs: BTreeSet<Dependency>) -> BTreeSet<Ref> {
        let let_go: Vec<Ref> = self.accounts_of(of).into_iter().filter(|account| !accounts(&needs).any(|a| a == *account)).collect();
        let mut concerned = self.remove(of);
        concerned.extend(let_go);
        concerned.extend(self.attaching(&needs));
        for need in &needs {
            self.needed_by.entry(need.clone()).or_default().insert(of.clone());
        }
        concerned.extend(sources(&needs));
        self.needs.insert(of.clone(), needs);
        concerned
    }

    /// Forgets a resource. Returns whom that concerns: the users and roles that it named, and those who attach a policy that it declared.
    pub fn remove(&mut self, of: &Ref) -> BTreeSet<Ref> {
        let needs = self.needs.remove(of).unwrap_or_default();
        for need in &needs {
            if let Some(by) = self.needed_by.get_mut(need) {
                by.remove(of);
                if by.is_empty() {
                    self.needed_by.remove(need);
                }
            }
        }
        sources(&needs).chain(self.attaching(&needs)).collect()
    }

    /// Those who attach a policy that a resource with these needs declares.
    fn attaching(&self, needs: &BTreeSet<Dependency>) -> Vec<Ref> {
        let attached = needs.iter().filter_map(|need| match need {
            Dependency::Declared(account, name) => Some(Dependency::Attached(account.clone(), name.clone())),
            _ => None,
        });
        attached.filter_map(|attached| self.needed_by.get(&attached)).flatten().cloned().collect()
    }

    /// The roles that are chained behind a role: what comes into it may bring along what each of them has to permit.
    pub fn behind(&self, role: &ObjectKey) -> BTreeSet<Ref> {
        let mut behind = BTreeSet::new();
        let mut next = vec![role.clone()];
        for _ in 0..MOST_HOPS {
            let naming = next.into_iter().filter_map(|key| self.needed_by.get(&Dependency::Role(key))).flatten().cloned();
            let new: Vec<Ref> = naming.filter(|of| !behind.contains(of)).collect();
            next = new.iter().map(|of| of.key().clone()).collect();
            behind.extend(new);
        }
        behind
    }

    /// The resources that need this, in order.
    pub fn needed_by(&self, need: &Dependency) -> impl Iterator<Item = &Ref> {
        self.needed_by.get(need).into_iter().flatten()
    }

    /// The roles that need this, in order, of the namespaces for which `from` holds: of others not even the first role is looked at twice.
    pub fn roles_needing(&self, need: &Dependency, from: &dyn Fn(&str) -> bool) -> Vec<ObjectKey> {
        let Some(all) = self.needed_by.get(need) else { return vec![] };
        let mut roles = vec![];
        let mut next = ObjectKey::new("", "");
        while let Some(Ref::Role(first)) = all.range(Ref::Role(next)..).next() {
            let namespace = &first.namespace;
            if from(namespace) {
                roles.extend(of_namespace(all, Ref::Role(ObjectKey::new(namespace, ""))).map(|of| of.key().clone()));
            }
            // No name of a namespace comes between this and the next.
            next = ObjectKey::new(format!("{namespace}\0"), "");
        }
        roles
    }

    /// The resources of the kind and namespace of this one that need something, in order.
    pub fn companions(&self, of: &Ref, need: &Dependency) -> Vec<Ref> {
        self.needed_by.get(need).into_iter().flat_map(|all| of_namespace(all, of.first_of_namespace())).cloned().collect()
    }

    /// The accounts that a resource refers to.
    pub fn accounts_of(&self, of: &Ref) -> BTreeSet<Ref> {
        self.needs.get(of).into_iter().flat_map(accounts).collect()
    }

    /// The users and roles that a resource names.
    pub fn sources_of(&self, of: &Ref) -> BTreeSet<Ref> {
        self.needs.get(of).into_iter().flat_map(sources).collect()
    }

    /// The namespaces in which a resource selects users.
    pub fn namespaces_of(&self, of: &Ref) -> BTreeSet<String> {
        let needs = self.needs.get(of).into_iter().flatten();
        needs.filter_map(|need| if let Dependency::UsersOf(namespace) = need { Some(namespace.clone()) } else { None }).collect()
    }

    /// The ConfigMaps that a resource names.
    pub fn config_maps_of(&self, of: &Ref) -> Vec<ObjectKey> {
        let needs = self.needs.get(of).into_iter().flatten();
        needs.filter_map(|need| if let Dependency::ConfigMap(key) = need { Some(key.clone()) } else { None }).collect()
    }

    /// Whom a change of this concerns: those that need it, and the users and roles that those name, since an assume policy depends on
    /// whether its roles may be where they are.
    pub fn concerned_by(&self, need: &Dependency) -> BTreeSet<Ref> {
        let direct: BTreeSet<Ref> = self.needed_by(need).cloned().collect();
        let named: Vec<Ref> = direct.iter().filter_map(|r| self.needs.get(r)).flat_map(sources).collect();
        direct.into_iter().chain(named).collect()
    }

    /// Everything that some resource needs.
    pub fn dependencies(&self) -> impl Iterator<Item = &Dependency> {
        self.needed_by.keys()
    }

    /// How many resources and needs are known.
    pub fn count(&self) -> usize {
        self.needs.len() + self.needed_by.len()
    }

    /// The resources known of, for finding out which are gone after a list.
    pub fn known(&self) -> impl Iterator<Item = &Ref> {
        self.needs.keys()
    }
}

/// The resources of one kind and namespace, given what comes before the first of them.
fn of_namespace(all: &BTreeSet<Ref>, start: Ref) -> impl Iterator<Item = &Ref> {
    all.range(start.clone()..).take_while(move |of| of.first_of_namespace() == start)
}

fn accounts(needs: &BTreeSet<Dependency>) -> impl Iterator<Item = Ref> {
    needs.iter().filter_map(|need| if let Dependency::Account(name) = need { Some(Ref::Account(ObjectKey::new("", name))) } else { None })
}

fn sources(needs: &BTreeSet<Dependency>) -> impl Iterator<Item = Ref> {
    needs.iter().filter_map(|need| match need {
        Dependency::User(key) => Some(Ref::User(key.clone())),
        Dependency::Role(key) => Some(Ref::Role(key.clone())),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> Ref {
        Ref::Role(ObjectKey::new("a", name))
    }

    fn user_key(name: &str) -> ObjectKey {
        ObjectKey::new("a", name)
    }

    fn needs(users: &[&str], account: &str) -> BTreeSet<Dependency> {
        let users = users.iter().map(|u| Dependency::User(user_key(u)));
        users.chain([Dependency::Account(account.into()), Dependency::Namespace("a".into())]).collect()
    }

    #[test]
    fn a_role_concerns_the_users_that_it_names_and_those_that_it_named() {
        let mut relations = Relations::default();
        assert_eq!(relations.set(&role("r"), needs(&["x"], "prod")), [Ref::User(user_key("x"))].into());
        assert_eq!(relations.set(&role("r"), needs(&["y"], "prod")), [Ref::User(user_key("x")), Ref::User(user_key("y"))].into());
        assert_eq!(relations.remove(&role("r")), [Ref::User(user_key("y"))].into());
        assert_eq!(relations.needed_by.len() + relations.needs.len(), 0, "nothing is kept of what is gone");
    }

    #[test]
    fn a_role_concerns_all_that_are_chained_behind_it_and_circles_end() {
        let mut relations = Relations::default();
        let names = |name: &str| BTreeSet::from([Dependency::Role(ObjectKey::new("a", name))]);
        for (of, source) in [("b", "a"), ("c", "b"), ("d", "c"), ("a", "d"), ("x", "y")] {
            relations.set(&role(of), names(source));
        }
        assert_eq!(relations.behind(&ObjectKey::new("a", "b")), ["c", "d", "a", "b"].map(role).into());
        assert_eq!(relations.behind(&ObjectKey::new("a", "x")), BTreeSet::new());
    }

    #[test]
    fn an_account_concerns_its_roles_and_the_users_that_they_name() {
        let mut relations = Relations::default();
        relations.set(&role("r"), needs(&["x"], "prod"));
        relations.set(&role("s"), needs(&["y"], "other"));
        assert_eq!(relations.concerned_by(&Dependency::Account("prod".into())), [role("r"), Ref::User(user_key("x"))].into());
    }

    #[test]
    fn roles_of_namespaces_without_permission_are_not_looked_at() {
        let mut relations = Relations::default();
        for (namespace, name) in [("a", "1"), ("a", "2"), ("a-b", "3"), ("b", "4"), ("b", "5"), ("c", "6")] {
            relations.set(&Ref::Role(ObjectKey::new(namespace, name)), needs(&["x"], "prod"));
        }
        relations.set(&Ref::User(ObjectKey::new("b", "4")), needs(&[], "prod"));
        let asked = std::cell::RefCell::new(vec![]);
        let permits = |namespace: &str| {
            asked.borrow_mut().push(namespace.to_owned());
            namespace != "b"
        };
        let roles = relations.roles_needing(&Dependency::User(user_key("x")), &permits);
        assert_eq!(roles.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["1", "2", "3", "6"]);
        assert_eq!(*asked.borrow(), ["a", "a-b", "b", "c"], "each is asked once");
        let account = Dependency::Account("prod".into());
        let companions = |of: Ref| relations.companions(&of, &account).iter().map(|of| of.key().name.clone()).collect::<Vec<_>>();
        assert_eq!(companions(Ref::Role(ObjectKey::new("b", "new"))), ["4", "5"]);
        assert_eq!(companions(Ref::User(ObjectKey::new("b", "new"))), ["4"]);
    }

    #[test]
    fn a_user_that_appears_concerns_the_roles_that_wait_for_it() {
        let mut relations = Relations::default();
        relations.set(&role("r"), needs(&["x"], "prod"));
        assert!(relations.concerned_by(&Dependency::User(user_key("x"))).contains(&role("r")));
        assert_eq!(relations.concerned_by(&Dependency::User(user_key("z"))), BTreeSet::new());
    }
}
