//! Conditions of a statement, as sets: what meets one, meets both, or either.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::canonical::condition_key;
use crate::document::{Statement, StatementRef, wildcard_covers};

/// The action by which a session carries tags.
pub const TAG_SESSION: &str = "sts:TagSession";
/// The action by which a session carries a source identity.
pub const SET_SOURCE_IDENTITY: &str = "sts:SetSourceIdentity";

/// Whether a key, whatever the case of its letters, is one of session tags.
pub fn is_of_session_tags(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.starts_with("aws:requesttag/") || ["aws:tagkeys", "sts:transitivetagkeys"].contains(&key.as_str())
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

    /// Whether a key must have one of some values that are written out, whole and without variables.
    pub fn names(&self, key: &str) -> bool {
        self.get(EQUALS, key).is_some_and(|values| values.iter().all(|value| !value.contains("${")))
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

    /// These, and others of which none is of the same operator and key.
    #[must_use]
    pub fn with_all(mut self, others: &Self) -> Self {
        self.0.extend(others.0.iter().map(|(of, values)| (of.clone(), values.clone())));
        self
    }

    /// The same, with operators and keys in one spelling.
    #[must_use]
    pub fn in_one_spelling(&self) -> Self {
        let spelled = |((operator, key), values): (&Of, &BTreeSet<String>)| ((operator.to_ascii_lowercase(), condition_key(key)), values.clone());
        Self(self.0.iter().map(spelled).collect())
    }

    /// Operator, key and values of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &BTreeSet<String>)> {
        self.0.iter().map(|((operator, key), values)| (operator.as_str(), key.as_str(), values))
    }

    /// Those on one key, for people.
    pub fn told_of(&self, key: &str) -> String {
        let on_key = self.iter().filter(|(_, there, _)| condition_key(there) == condition_key(key));
        let told = |(operator, key, values): (&str, &str, &BTreeSet<String>)| {
            format!("{key} {operator} {}", values.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
        };
        on_key.map(told).collect::<Vec<_>>().join(" and ")
    }

    /// A statement with these.
    pub fn put_into(&self, statement: Statement) -> Statement {
        self.iter().fold(statement, |statement, (operator, key, values)| statement.condition(operator, key, values.iter().cloned()))
    }

    fn get(&self, operator: &str, key: &str) -> Option<&BTreeSet<String>> {
        let of = (operator.to_owned(), key.to_owned());
        self.0.iter().find(|(there, _)| is_same(there, &of)).map(|(_, values)| values)
    }

    /// Whether whatever meets `other` meets these, too. Told from the form alone: in doubt it does not.
    pub fn cover(&self, other: &Self) -> bool {
        self.0.iter().all(|(of, values)| other.0.iter().filter(|(theirs, _)| are_alike(of, theirs)).any(|theirs| is_within(theirs, (of, values))))
    }

    /// The conditions that hold where both hold; None where that never is, or cannot be written.
    pub fn and(&self, other: &Self) -> Option<Self> {
        self.with_those_of(other).ok()
    }

    /// The conditions that hold where both hold.
    ///
    /// # Errors
    /// The key on which nothing meets both, or where that cannot be written.
    pub fn with_those_of(&self, other: &Self) -> Result<Self, String> {
        let mut made = self.clone();
        for (of, theirs) in &other.0 {
            // Of the two operators by which texts compare there may be one condition each.
            let found = |is_meant: fn(&Of, &Of) -> bool| {
                made.0.iter().find(|(ours, _)| is_meant(ours, of)).map(|(ours, values)| (ours.clone(), values.clone()))
            };
            let Some((ours, values)) = found(is_same).or_else(|| found(are_alike)) else {
                made.0.insert(of.clone(), theirs.clone());
                continue;
            };
            match both((&ours, &values), (of, theirs)) {
                Both::Hold(operator, narrower) => {
                    made.0.remove(&ours);
                    made.0.insert((operator, ours.1), narrower);
                }
                Both::Unknown if !is_same(&ours, of) => {
                    made.0.insert(of.clone(), theirs.clone());
                }
                Both::Never | Both::Unknown => return Err(ours.1),
            }
        }
        Ok(made)
    }

    /// Those that an action of STS looks at. An external ID and the session's name are keys of the call that gives credentials, and a source identity and session
    /// tags are none of each other's (service authorization reference, AWS STS).
    #[must_use]
    pub fn of_action(&self, action: &str) -> Self {
        let is_foreign = |key: &str| {
            let key = key.to_ascii_lowercase();
            let of_the_call = ["sts:externalid", "sts:rolesessionname"].contains(&key.as_str());
            let of_tags = is_of_session_tags(&key);
            let is = |of: &str| action.eq_ignore_ascii_case(of);
            (is(TAG_SESSION) && (of_the_call || key == "sts:sourceidentity")) || (is(SET_SOURCE_IDENTITY) && (of_the_call || of_tags))
        };
        Self(self.0.iter().filter(|((_, key), _)| !is_foreign(key)).map(|(of, values)| (of.clone(), values.clone())).collect())
    }

    /// The conditions whose values are alternatives, so that two statements that differ in nothing else are one with the values of both.
    pub fn alternatives(&self) -> impl Iterator<Item = Alternatives> {
        self.0.iter().filter_map(|(of, values)| alternatives(of, values))
    }

    /// These without the alternatives, and the one condition that they are; None where there is none, or more than one.
    pub fn split_off(&self, alternatives: &Alternatives) -> Option<(Self, Self)> {
        if !self.0.iter().any(|(of, values)| self::alternatives(of, values).as_ref() == Some(alternatives)) {
            return None;
        }
        let (off, left): (BTreeMap<_, _>, BTreeMap<_, _>) = self
            .0
            .iter()
            .map(|(of, values)| (of.clone(), values.clone()))
            .partition(|(of, values)| self::alternatives(of, values).as_ref() == Some(alternatives));
        (off.len() == 1).then_some((Self(left), Self(off)))
    }

    /// The one condition that holds where either of these holds, of which each is one condition of the same alternatives.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let (Some((of, ours)), Some((theirs_of, theirs))) = (self.0.first_key_value(), other.0.first_key_value()) else { return self.clone() };
        let of = if is_literal(of) && !is_literal(theirs_of) { theirs_of } else { of };
        Self(BTreeMap::from([(of.clone(), ours | theirs)]))
    }

    /// The same as one condition for each of its values.
    pub fn one_by_one(&self) -> Vec<Self> {
        let Some(((operator, key), values)) = self.0.first_key_value() else { return vec![] };
        let is_string = ["stringequals", "stringlike"].contains(&operator.to_ascii_lowercase().as_str());
        let operator_of = |value: &str| match (is_string, is_pattern(value)) {
            (true, false) => EQUALS.to_owned(),
            _ => operator.clone(),
        };
        values.iter().map(|value| Self(BTreeMap::from([((operator_of(value), key.clone()), BTreeSet::from([value.clone()]))]))).collect()
    }
}

/// What conditions on one key have in common whose values are alternatives: the operator, or the two by which texts compare, and the key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alternatives(String, String);

const EQUALS: &str = "StringEquals";
const LIKE: &str = "StringLike";

/// An operator and a key.
type Of = (String, String);

fn alternatives((operator, key): &Of, values: &BTreeSet<String>) -> Option<Alternatives> {
    let operator = operator.to_ascii_lowercase();
    let plain = operator.strip_prefix("foranyvalue:").unwrap_or(&operator);
    let is_positive = match plain.strip_suffix("ifexists").unwrap_or(plain) {
        // A star that means itself has no place beside patterns.
        "stringequals" => !values.iter().any(|value| is_pattern(value)),
        "stringlike" | "stringequalsignorecase" | "arnequals" | "arnlike" | "ipaddress" => true,
        _ => false,
    };
    let family = if operator == "stringlike" { "stringequals".to_owned() } else { operator };
    is_positive.then(|| Alternatives(family, condition_key(key)))
}

fn is_pattern(value: &str) -> bool {
    value.contains(['*', '?'])
}

/// Whether a pattern takes in all that another value, or pattern, can be. What a variable stands for is any text, whatever letters its name has.
fn is_pattern_for(pattern: &str, value: &str) -> bool {
    let is_variable = pattern.contains("${") || value.contains("${");
    pattern == "*" || (is_pattern(pattern) && !is_variable && wildcard_covers(pattern, value))
}

fn is_literal((operator, _): &Of) -> bool {
    operator.eq_ignore_ascii_case(EQUALS)
}

/// Whether it is one of the two operators by which texts compare, which differ in what a star means.
fn compares_texts(of: &Of) -> bool {
    is_literal(of) || of.0.eq_ignore_ascii_case(LIKE)
}

fn is_same(a: &Of, b: &Of) -> bool {
    a.0.eq_ignore_ascii_case(&b.0) && condition_key(&a.1) == condition_key(&b.1)
}

/// Whether two conditions are of one operator and key, or both compare texts of one key.
fn are_alike(a: &Of, b: &Of) -> bool {
    is_same(a, b) || (compares_texts(a) && compares_texts(b) && condition_key(&a.1) == condition_key(&b.1))
}

/// Where two conditions of one key both hold.
enum Both {
    /// Where this operator holds for these values.
    Hold(String, BTreeSet<String>),
    /// Nowhere.
    Never,
    /// That cannot be told, or not written as one condition.
    Unknown,
}

fn both((of_a, a): (&Of, &BTreeSet<String>), (of_b, b): (&Of, &BTreeSet<String>)) -> Both {
    if compares_texts(of_a) {
        return texts_of_both((of_a, a), (of_b, b));
    }
    match narrower(&of_a.0.to_ascii_lowercase(), a, b) {
        Some(values) if values.is_empty() => Both::Never,
        Some(values) => Both::Hold(of_a.0.clone(), values),
        None => Both::Unknown,
    }
}

/// Whether one condition holds only where another one does, which is alike.
fn is_within((of_a, a): (&Of, &BTreeSet<String>), (of_b, b): (&Of, &BTreeSet<String>)) -> bool {
    if a == b && is_same(of_a, of_b) {
        return true;
    }
    if !compares_texts(of_a) {
        return narrower(&of_a.0.to_ascii_lowercase(), a, b).as_ref() == Some(a);
    }
    if means_a_star(of_a, a) || means_a_star(of_b, b) {
        return is_same(of_a, of_b) && a.is_subset(b);
    }
    a.iter().all(|ours| b.contains(ours) || b.iter().any(|theirs| is_pattern_for(theirs, ours)))
}

/// Whether a star or question mark among the values means itself.
fn means_a_star(of: &Of, values: &BTreeSet<String>) -> bool {
    is_literal(of) && values.iter().any(|value| is_pattern(value))
}

/// The texts that match both.
fn texts_of_both((of_a, a): (&Of, &BTreeSet<String>), (of_b, b): (&Of, &BTreeSet<String>)) -> Both {
    // What can be told of values that may match others, though neither is part of the other.
    let in_common = || match a & b {
        both if both.is_empty() || !is_same(of_a, of_b) => Both::Unknown,
        both => Both::Hold(of_a.0.clone(), both),
    };
    if means_a_star(of_a, a) || means_a_star(of_b, b) {
        return in_common();
    }
    let mut values = BTreeSet::new();
    for (ours, theirs) in a.iter().flat_map(|ours| b.iter().map(move |theirs| (ours, theirs))) {
        let is_open = |value: &str| is_pattern(value) || value.contains("${");
        if ours == theirs || is_pattern_for(ours, theirs) {
            values.insert(theirs.clone());
        } else if is_pattern_for(theirs, ours) {
            values.insert(ours.clone());
        } else if (is_open(ours) && is_open(theirs)) || ours.contains("${") || theirs.contains("${") {
            return in_common();
        }
    }
    let operator = if values.iter().any(|value| is_pattern(value)) { LIKE } else { EQUALS };
    if values.is_empty() { Both::Never } else { Both::Hold(operator.to_owned(), values) }
}

/// The values for which an operator holds only where it holds for both of these; None where they cannot be told.
fn narrower(operator: &str, a: &BTreeSet<String>, b: &BTreeSet<String>) -> Option<BTreeSet<String>> {
    if operator.starts_with("foranyvalue:") {
        // Of many values in a request one may be here and another one there.
        return [a, b].into_iter().find(|one| one.is_subset(a) && one.is_subset(b)).cloned();
    }
    if a == b {
        return Some(a.clone());
    }
    let base = operator.strip_suffix("ifexists").unwrap_or(operator);
    let single = |of: &BTreeSet<String>| of.first().filter(|_| of.len() == 1).cloned();
    let number = |of: &BTreeSet<String>| single(of)?.parse::<f64>().ok();
    match base {
        "stringequals" | "stringlike" | "stringequalsignorecase" => Some(a & b),
        "arnequals" | "arnlike" => (!may_overlap(a, b)).then(|| within_both(a, b, is_arn_pattern_for)),
        "ipaddress" => Some(within_both(a, b, is_network_of)),
        "stringnotequals" | "stringnotlike" | "stringnotequalsignorecase" | "arnnotequals" | "arnnotlike" | "notipaddress" => Some(a | b),
        "numericlessthan" | "numericlessthanequals" => Some(if number(a)? <= number(b)? { a.clone() } else { b.clone() }),
        "numericgreaterthan" | "numericgreaterthanequals" => Some(if number(a)? >= number(b)? { a.clone() } else { b.clone() }),
        "datelessthan" | "datelessthanequals" => earlier(&single(a)?, &single(b)?).map(|earlier| if earlier { a.clone() } else { b.clone() }),
        "dategreaterthan" | "dategreaterthanequals" => earlier(&single(a)?, &single(b)?).map(|earlier| if earlier { b.clone() } else { a.clone() }),
        _ => None,
    }
}

/// The values of each that lie within one of the other.
fn within_both(a: &BTreeSet<String>, b: &BTreeSet<String>, holds: fn(&str, &str) -> bool) -> BTreeSet<String> {
    let within = |inner: &BTreeSet<String>, outer: &BTreeSet<String>| -> BTreeSet<String> {
        inner.iter().filter(|one| outer.iter().any(|other| other == *one || holds(other, one))).cloned().collect()
    };
    &within(a, b) | &within(b, a)
}

/// Whether patterns of ARNs may have some in common, though neither is part of the other.
fn may_overlap(a: &BTreeSet<String>, b: &BTreeSet<String>) -> bool {
    let is_open = |arn: &String| is_pattern(arn) || arn.contains("${");
    let is_nested = |one: &str, other: &str| one == other || is_arn_pattern_for(one, other) || is_arn_pattern_for(other, one);
    let pairs = a.iter().flat_map(|one| b.iter().map(move |other| (one, other)));
    pairs
        .filter(|(one, other)| (is_open(one) && is_open(other)) || one.contains("${") || other.contains("${"))
        .any(|(one, other)| !is_nested(one, other))
}

/// Whether all addresses of a network, or one address, are among those of another one.
fn is_network_of(outer: &str, inner: &str) -> bool {
    let network = |text: &str| -> Option<IpNet> {
        let bits = if text.contains(':') { 128 } else { 32 };
        if text.contains('/') { text.parse() } else { format!("{text}/{bits}").parse() }.ok()
    };
    network(outer).zip(network(inner)).is_some_and(|(outer, inner)| outer.contains(&inner))
}

/// Whether a pattern takes in all that another ARN, or pattern, can be. A star does not reach beyond the part that it is in (IAM user guide, "Condition operators").
fn is_arn_pattern_for(pattern: &str, arn: &str) -> bool {
    let (patterns, parts): (Vec<&str>, Vec<&str>) = (pattern.splitn(6, ':').collect(), arn.splitn(6, ':').collect());
    patterns.len() == parts.len() && patterns.iter().zip(parts).all(|(pattern, part)| *pattern == part || is_pattern_for(pattern, part))
}

/// Whether a time comes before another; None where they are not written in the one form that sorts as time goes.
fn earlier(a: &str, b: &str) -> Option<bool> {
    let in_utc = |time: &str| time.len() == 20 && time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok();
    (in_utc(a) && in_utc(b)).then(|| a < b)
}
