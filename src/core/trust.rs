//! Trust policies as what they are to IAM: a set of ways in.
//!
//! A [`TrustRule`] is one of them: a principal, what it may call, and under which conditions. What a declaration asks for is a list of admissions, and a
//! trust policy is read back as one, so that what changes between two policies can be told apart into what somebody gains and what somebody loses.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::canonical::condition_key;
use super::document::{Document, Effect, Statement, StatementRef, wildcard_match_ignore_case};
use super::names::{AccountID, is_unique_id};

/// Whom a trust policy names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// A user, role, session or account of AWS, as the policy names it; `*` for everyone, a unique ID for who is gone.
    AWS(String),
    /// The account that the role is in, as the policy names it. There it lets in whom other policies allow the role; a user that is named comes in whatever
    /// they say (IAM user guide, "Cross account resource access in IAM").
    OwnAccount(String),
    /// A service of AWS.
    Service(String),
    /// An identity provider, by its ARN.
    Federated(String),
}

impl Principal {
    /// The principal of AWS that a trust policy of a role in `own` names so.
    pub fn named(name: &str, own: &AccountID) -> Self {
        let is_own = account_of(name).unwrap_or(name) == own.as_str();
        if is_own { Self::OwnAccount(name.to_owned()) } else { Self::AWS(name.to_owned()) }
    }

    /// The name in the policy.
    pub fn as_str(&self) -> &str {
        match self {
            Self::AWS(name) | Self::OwnAccount(name) | Self::Service(name) | Self::Federated(name) => name,
        }
    }

    /// Whether this is a whole account, by the ARN of its root.
    pub fn is_account(&self) -> bool {
        matches!(self, Self::OwnAccount(_)) || matches!(self, Self::AWS(name) if account_of(name).is_some())
    }

    /// Whether this lets in whomever `other` lets in: by itself, by the root of its account, or by everyone. The root of the role's own account does not
    /// cover who is named: to them the trust policy suffices, and to the others their own policies have to allow it as well (IAM user guide, "Determining
    /// whether a request is allowed or denied within an account").
    pub fn covers(&self, other: &Self) -> bool {
        self.includes(other) && !matches!((self, other), (Self::OwnAccount(_), Self::AWS(_)))
    }

    /// Whether whoever is meant by `other` is meant by this, too, whatever else it takes to come in.
    pub fn includes(&self, other: &Self) -> bool {
        let (Some(this), Some(that)) = (self.of_aws(), other.of_aws()) else { return self == other };
        let are_own = matches!((self, other), (Self::OwnAccount(_), Self::OwnAccount(_)));
        are_own || this == that || this == "*" || root_of(that).is_some_and(|root| root == account_of(this).unwrap_or(this))
    }

    fn of_aws(&self) -> Option<&str> {
        match self {
            Self::AWS(name) | Self::OwnAccount(name) => Some(name),
            Self::Service(_) | Self::Federated(_) => None,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The account that a principal is in, where it is not the account itself.
fn root_of(principal: &str) -> Option<&str> {
    principal.strip_prefix("arn:")?.split(':').nth(3).filter(|account| !account.is_empty())
}

/// The account that a principal is, by its ID or the ARN of its root: the two are one (IAM user guide, "Principal").
fn account_of(principal: &str) -> Option<&str> {
    principal.strip_suffix(":root").and_then(root_of)
}

/// Conditions of a statement: values by operator and key. All must hold; of the values of one, any.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conditions(BTreeMap<(String, String), BTreeSet<String>>);

impl Conditions {
    /// Adds a condition. To an operator and key that are there already it adds values.
    #[must_use]
    pub fn with(mut self, operator: &str, key: &str, values: impl IntoIterator<Item: Into<String>>) -> Self {
        self.0.entry((operator.to_owned(), key.to_owned())).or_default().extend(values.into_iter().map(Into::into));
        self
    }

    /// Whether there is a condition of this operator and key, whatever the case of their letters.
    pub fn has(&self, operator: &str, key: &str) -> bool {
        self.get(operator, key).is_some()
    }

    /// How many operators and keys there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Those of certain keys, given in lower case.
    #[must_use]
    pub fn on(&self, keys: &[&str]) -> Self {
        let on_key = |(_, key): &(String, String)| keys.contains(&key.to_ascii_lowercase().as_str());
        Self(self.0.iter().filter(|(of, _)| on_key(of)).map(|(of, values)| (of.clone(), values.clone())).collect())
    }

    /// Whether each of these is among `other`, with the same values.
    pub fn are_among(&self, other: &Self) -> bool {
        self.0.iter().all(|((operator, key), values)| other.get(operator, key) == Some(values))
    }

    /// Those of a statement.
    pub fn of(statement: StatementRef<'_>) -> Self {
        let mut conditions = Self::default();
        for condition in statement.conditions() {
            let values = condition.values.iter().map(|value| value.to_string());
            conditions = conditions.with(condition.operator, condition.key, values);
        }
        conditions
    }

    fn get(&self, operator: &str, key: &str) -> Option<&BTreeSet<String>> {
        self.0.iter().find(|((o, k), _)| is_same((o, k), (operator, key))).map(|(_, values)| values)
    }

    /// Whether whatever meets `other` meets these, too. Told from the form alone: in doubt it does not.
    pub fn cover(&self, other: &Self) -> bool {
        self.0.iter().all(|((operator, key), values)| {
            other.get(operator, key).is_some_and(|theirs| narrower(operator, values, theirs).as_ref() == Some(theirs))
        })
    }

    /// The conditions that hold where both hold; None where that never is, or cannot be written.
    pub fn and(&self, other: &Self) -> Option<Self> {
        let mut both = self.clone();
        for ((operator, key), theirs) in &other.0 {
            let ours = both.0.iter_mut().find(|((o, k), _)| is_same((o, k), (operator, key)));
            match ours {
                Some((_, values)) => *values = narrower(operator, values, theirs)?,
                None => {
                    both.0.insert((operator.clone(), key.clone()), theirs.clone());
                }
            }
        }
        Some(both)
    }
}

fn is_same(a: (&str, &str), b: (&str, &str)) -> bool {
    a.0.eq_ignore_ascii_case(b.0) && condition_key(a.1) == condition_key(b.1)
}

/// The values for which an operator holds only where it holds for both of these; None where there are none, or they cannot be told.
fn narrower(operator: &str, a: &BTreeSet<String>, b: &BTreeSet<String>) -> Option<BTreeSet<String>> {
    if a == b {
        return Some(a.clone());
    }
    let operator = operator.to_ascii_lowercase();
    let base = operator.strip_suffix("ifexists").unwrap_or(&operator);
    let single = |of: &BTreeSet<String>| of.first().filter(|_| of.len() == 1).cloned();
    let number = |of: &BTreeSet<String>| single(of)?.parse::<f64>().ok();
    match base {
        "stringequals" | "stringlike" | "stringequalsignorecase" | "arnequals" | "arnlike" | "ipaddress" => {
            Some(a & b).filter(|both| !both.is_empty())
        }
        "stringnotequals" | "stringnotlike" | "stringnotequalsignorecase" | "arnnotequals" | "arnnotlike" | "notipaddress" => Some(a | b),
        "numericlessthan" | "numericlessthanequals" => Some(if number(a)? <= number(b)? { a.clone() } else { b.clone() }),
        "numericgreaterthan" | "numericgreaterthanequals" => Some(if number(a)? >= number(b)? { a.clone() } else { b.clone() }),
        "datelessthan" | "datelessthanequals" => earlier(&single(a)?, &single(b)?).map(|earlier| if earlier { a.clone() } else { b.clone() }),
        "dategreaterthan" | "dategreaterthanequals" => earlier(&single(a)?, &single(b)?).map(|earlier| if earlier { b.clone() } else { a.clone() }),
        _ => None,
    }
}

/// Whether a time comes before another; None where they are not written in the one form that sorts as time goes.
fn earlier(a: &str, b: &str) -> Option<bool> {
    let in_utc = |time: &str| time.len() == 20 && time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok();
    (in_utc(a) && in_utc(b)).then(|| a < b)
}

/// One way into a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustRule {
    /// Who.
    pub principal: Principal,
    /// Which actions of STS, one that gives credentials among them.
    pub actions: BTreeSet<String>,
    /// Under which conditions.
    pub conditions: Conditions,
}

impl TrustRule {
    /// A principal that may call `sts:AssumeRole` unconditionally.
    pub fn plain(principal: Principal) -> Self {
        Self { principal, actions: ["sts:AssumeRole".to_owned()].into(), conditions: Conditions::default() }
    }

    /// Whether whatever `other` lets in comes in by this, too.
    pub fn covers(&self, other: &Self) -> bool {
        let is_permitted = |action: &String| self.actions.iter().any(|pattern| wildcard_match_ignore_case(pattern, action));
        self.principal.covers(&other.principal) && other.actions.iter().all(is_permitted) && self.conditions.cover(&other.conditions)
    }

    /// Whether this lets in as much of the same principal.
    pub fn extends(&self, other: &Self) -> bool {
        self.covers(other) && other.principal.covers(&self.principal)
    }

    /// What comes in by either of two; None where nobody does.
    fn and(&self, other: &Self) -> Option<Self> {
        let principal = match (self.principal.includes(&other.principal), other.principal.includes(&self.principal)) {
            (true, _) => &other.principal,
            (false, true) => &self.principal,
            (false, false) => return None,
        };
        let permits = |by: &Self, action: &str| by.actions.iter().any(|pattern| wildcard_match_ignore_case(pattern, action));
        let actions: BTreeSet<String> =
            self.actions.iter().filter(|a| permits(other, a)).chain(other.actions.iter().filter(|a| permits(self, a))).cloned().collect();
        let conditions = self.conditions.and(&other.conditions)?;
        actions.iter().any(|action| gives_credentials(action)).then(|| Self { principal: principal.clone(), actions, conditions })
    }
}

fn gives_credentials(action: &str) -> bool {
    ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML"].iter().any(|known| wildcard_match_ignore_case(action, known))
}

/// What a trust policy lets in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The ways in that the policy allows and does not deny.
    pub rules: BTreeSet<TrustRule>,
    /// Who is denied, under whatever conditions.
    pub denied: BTreeSet<Principal>,
    /// Whether it allows in a form that we never write, and so perhaps more than its admissions tell.
    pub has_unmodelled_statements: bool,
}

impl Trust {
    /// Reads the trust policy of a role in `own`. Who is denied is taken as let in by nothing.
    pub fn of(document: &Document, own: &AccountID) -> Self {
        let (allowing, denying): (Vec<_>, Vec<_>) = document.statements().into_iter().partition(|s| s.effect() == Some(Effect::Allow));
        let denied: BTreeSet<Principal> = denying.iter().flat_map(|s| principals(*s, own)).collect();
        let rules = allowing.iter().flat_map(|s| rules(*s, own)).filter(|a| !denied.iter().any(|d| d.includes(&a.principal)));
        Self { rules: rules.collect(), has_unmodelled_statements: !allowing.iter().all(|s| is_plain(*s)), denied }
    }

    /// The same, with these names in the places of the unique IDs that they belong to.
    pub fn with_names(mut self, names: &BTreeMap<String, Principal>) -> Self {
        let named = |rule: TrustRule| match names.get(rule.principal.as_str()) {
            Some(principal) => TrustRule { principal: principal.clone(), ..rule },
            None => rule,
        };
        self.rules = self.rules.into_iter().map(named).collect();
        self
    }

    /// What one of two lets in, or the other, where it is not known which is in force.
    pub fn or(&self, other: &Self) -> Self {
        Self {
            rules: &self.rules | &other.rules,
            denied: &self.denied & &other.denied,
            has_unmodelled_statements: self.has_unmodelled_statements || other.has_unmodelled_statements,
        }
    }

    /// Whether an admission comes in already.
    pub fn covers(&self, rule: &TrustRule) -> bool {
        !self.denies(&rule.principal) && self.rules.iter().any(|there| there.covers(rule))
    }

    /// Whether a principal is denied, by its own name or as one of many.
    fn denies(&self, principal: &Principal) -> bool {
        self.denied.iter().any(|denied| denied.includes(principal))
    }

    /// Whether this principal is named among those let in.
    pub fn names(&self, principal: &Principal) -> bool {
        self.standing(principal).any(|there| principal.covers(&there.principal))
    }

    /// The unique IDs among those let in: what IAM puts into the place of a principal that is gone (IAM user guide, "Principal").
    pub fn unique_ids(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|there| there.principal.as_str()).filter(|name| is_unique_id(name))
    }

    /// The ways in of this principal, by its own name or as one of many.
    pub fn standing<'a>(&'a self, principal: &'a Principal) -> impl Iterator<Item = &'a TrustRule> {
        self.rules.iter().filter(|there| there.principal.covers(principal) && !self.denies(principal))
    }

    /// What both this and `other` let in.
    pub fn and(&self, other: &Self) -> BTreeSet<TrustRule> {
        let pairs = self.rules.iter().flat_map(|ours| other.rules.iter().filter_map(move |theirs| ours.and(theirs)));
        without_lesser(pairs.collect())
    }
}

/// Of one principal, what lets in more is enough. Who is named stays named even under a root: that it is, is a reason to keep it.
pub fn without_lesser(rules: BTreeSet<TrustRule>) -> BTreeSet<TrustRule> {
    let more = |one: &TrustRule| rules.iter().any(|more| more != one && more.extends(one) && !(one.extends(more) && one < more));
    rules.iter().filter(|one| !more(one)).cloned().collect()
}

fn principals(statement: StatementRef<'_>, own: &AccountID) -> Vec<Principal> {
    let named = |kind: &str| statement.principals(kind).into_iter().map(str::to_owned);
    let (aws, services) = (named("AWS").map(|name| Principal::named(&name, own)), named("Service").map(Principal::Service));
    aws.chain(services).chain(named("Federated").map(Principal::Federated)).collect()
}

fn rules(statement: StatementRef<'_>, own: &AccountID) -> Vec<TrustRule> {
    let actions: BTreeSet<String> = statement.actions().unwrap_or_default().into_iter().map(str::to_owned).collect();
    if !actions.iter().any(|action| gives_credentials(action)) {
        return vec![];
    }
    let conditions = Conditions::of(statement);
    let rule = |principal| TrustRule { principal, actions: actions.clone(), conditions: conditions.clone() };
    principals(statement, own).into_iter().map(rule).collect()
}

/// Whether a statement is of a form that we write: what it says is all in its admissions.
fn is_plain(statement: StatementRef<'_>) -> bool {
    let known = ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML", "sts:TagSession", "sts:SetSourceIdentity"];
    let plain_actions = statement.actions().is_some_and(|actions| actions.iter().all(|a| known.iter().any(|k| a.eq_ignore_ascii_case(k))));
    statement.principals("CanonicalUser").is_empty() && !statement.has_not_principal() && !statement.names_everyone() && plain_actions
}

/// The trust policy of these entries: one statement for all admissions of an entry that agree in actions and conditions, since many principals in one
/// statement take the least room. With nobody to name, everyone is denied: IAM takes no trust policy without a principal.
pub fn trust_policy(entries: impl IntoIterator<Item = BTreeSet<TrustRule>>) -> Document {
    let statements: Vec<Statement> = entries.into_iter().flat_map(statements).collect();
    if statements.is_empty() { deny_all_trust() } else { Document::new(statements) }
}

fn statements(entry: BTreeSet<TrustRule>) -> Vec<Statement> {
    let mut alike: BTreeMap<(&BTreeSet<String>, &Conditions), Statement> = BTreeMap::new();
    for TrustRule { principal, actions, conditions } in &entry {
        let statement = alike.entry((actions, conditions)).or_insert_with(|| {
            let statement = Statement::allow().actions(actions.iter().cloned());
            conditions.0.iter().fold(statement, |statement, ((operator, key), values)| statement.condition(operator, key, values.iter().cloned()))
        });
        let named = statement.clone();
        *statement = match principal {
            Principal::AWS(name) | Principal::OwnAccount(name) => named.principals_aws([name]),
            Principal::Service(name) => named.principals_service([name]),
            Principal::Federated(name) => named.principals_federated([name]),
        };
    }
    alike.into_values().collect()
}

/// A trust policy that denies everyone.
pub fn deny_all_trust() -> Document {
    Document::new(vec![Statement::deny().anyone().actions(["sts:AssumeRole"])])
}

#[cfg(test)]
mod tests;
