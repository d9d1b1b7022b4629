//! The parts of a change: each policy, group or boundary that comes, goes or says something else, with what that does to what the identity may do, and the
//! writes by which it is done, in one step or in several.

use std::cmp::Reverse;

use serde_json::{Value, json};

use super::super::action::Action;
use super::super::assume;
use super::super::canonical::same;
use super::super::document::{Document, StatementRef, VERSION_2008};
use super::super::identity::{ASSUME_POLICY, Identity, IdentityName, ManagedPolicy};
use super::super::names::{Arn, PolicyName};
use super::super::observed::ObservedPolicy;
use super::reach::{Reach, Says, beyond, reaches, without};
use super::{POLICY_VERSIONS, policy_tags};

/// What a change of a part does to what the identity may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    /// Something is denied that this part did not deny.
    NewDenials,
    /// Something is allowed that this part did not allow.
    NewPermissions,
    /// Something is allowed no longer, by this part or any other.
    PermissionsEnd,
    /// Something is allowed by other parts, and by this one no longer.
    PermissionsMove,
    /// Something is denied by this part no longer.
    DenialsEnd,
}

/// How a part is changed where that takes several writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// What it is to say is written beside what it says, and that is taken away afterwards.
    Together,
    /// What it is not to allow any longer is taken away before anything is added.
    Apart,
}

impl Manner {
    /// The shifts, in the order in which they are safe whatever other parts do in between. What says something that is not known can only be taken away as
    /// it is.
    fn order(self, is_opaque: bool) -> &'static [&'static [Shift]] {
        use Shift::*;
        match (self, is_opaque) {
            (Self::Together, false) => &[&[NewDenials], &[NewPermissions], &[PermissionsEnd, PermissionsMove], &[DenialsEnd]],
            (Self::Together, true) => &[&[NewDenials, NewPermissions, PermissionsEnd, PermissionsMove, DenialsEnd]],
            (Self::Apart, false) => &[&[PermissionsEnd], &[NewDenials], &[NewPermissions, PermissionsMove, DenialsEnd]],
            (Self::Apart, true) => &[&[PermissionsEnd, PermissionsMove, NewDenials, DenialsEnd], &[NewPermissions]],
        }
    }

    /// All ways to make the shifts in this order with some of them at once, those with fewer writes first.
    fn groupings(self, is_opaque: bool) -> Vec<Vec<Vec<Shift>>> {
        let order = self.order(is_opaque);
        let mut cuts: Vec<usize> = (0..1 << (order.len() - 1)).collect();
        cuts.sort_by_key(|cuts: &usize| cuts.count_ones());
        let grouping = |cuts: usize| {
            let mut groups: Vec<Vec<Shift>> = vec![vec![]];
            for (index, shifts) in order.iter().enumerate() {
                if index > 0 && cuts >> (index - 1) & 1 == 1 {
                    groups.push(vec![]);
                }
                groups.last_mut().into_iter().for_each(|group| group.extend(*shifts));
            }
            groups
        };
        cuts.into_iter().map(grouping).collect()
    }
}

/// What all policies of an identity say, as far as it is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    /// What they allow before.
    pub(super) allowed_before: Vec<Reach>,
    /// What they are to allow.
    pub(super) allowed_after: Vec<Reach>,
    /// What those deny that do not change.
    pub(super) denied_throughout: Vec<Reach>,
}

/// What a part does by each [`Shift`].
#[derive(Clone, Debug, Default)]
pub(super) struct Shifts {
    pub(super) new_denials: Vec<Reach>,
    pub(super) new_permissions: Vec<Reach>,
    /// What of the new permissions no part allowed before.
    pub(super) first_permissions: Vec<Reach>,
    pub(super) ended_permissions: Vec<Reach>,
    pub(super) moved_permissions: Vec<Reach>,
    pub(super) ended_denials: Vec<Reach>,
}

impl Shifts {
    /// From what a part says to what it is to say; None where that is not known.
    fn between(before: Option<&Says<'_>>, after: Option<&Says<'_>>, around: &Surroundings) -> Self {
        let permissions = |says: Option<&Says<'_>>| says.map_or_else(|| vec![Reach::everything()], |says| reaches(&says.permissions));
        let denials = |says: Option<&Says<'_>>| says.map_or_else(|| vec![Reach::everything()], |says| reaches(&says.denials));
        let known = |says: Option<&Says<'_>>, of: fn(&Says<'_>) -> Vec<Reach>| says.map(of).unwrap_or_default();
        let new_permissions = beyond(&permissions(after), &known(before, |says| reaches(&says.permissions)));
        let lost = beyond(&permissions(before), &known(after, |says| reaches(&says.permissions)));
        let moved = |lost: &Reach| without(lost, &beyond(std::slice::from_ref(lost), &around.allowed_after));
        Self {
            new_denials: beyond(&denials(after), &known(before, |says| reaches(&says.denials))),
            first_permissions: beyond(&beyond(&new_permissions, &around.allowed_before), &around.denied_throughout),
            new_permissions,
            ended_permissions: beyond(&beyond(&lost, &around.allowed_after), &around.denied_throughout),
            moved_permissions: lost.iter().flat_map(moved).collect(),
            ended_denials: beyond(&denials(before), &known(after, |says| reaches(&says.denials))),
        }
    }

    /// What something does that denies all but what it names: where it comes, and where it goes.
    fn of_everything(comes: bool, goes: bool) -> Self {
        let everything = |is: bool| if is { vec![Reach::everything()] } else { vec![] };
        Self { new_denials: everything(comes), ended_denials: everything(goes), ..Self::default() }
    }

    fn of(&self, shift: Shift) -> &[Reach] {
        match shift {
            Shift::NewDenials => &self.new_denials,
            Shift::NewPermissions => &self.new_permissions,
            Shift::PermissionsEnd => &self.ended_permissions,
            Shift::PermissionsMove => &self.moved_permissions,
            Shift::DenialsEnd => &self.ended_denials,
        }
    }

    fn mixes(&self) -> bool {
        let permits = [&self.new_permissions, &self.ended_permissions, &self.moved_permissions].iter().any(|reaches| !reaches.is_empty());
        permits && !(self.new_denials.is_empty() && self.ended_denials.is_empty())
    }
}

/// How likely something is to limit what other policies allow: the likelier the earlier it comes, and the later it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Limiting {
    Denies,
    Group,
    Unknown,
    OfAWS,
    Permits,
}

/// Where in a plan a step stands, as far as nothing forbids it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    First,
    Addition(Limiting, Kind),
    Removal(Reverse<Limiting>, Kind),
    Last,
}

impl Place {
    /// After all that is added.
    pub(super) const AFTER_ADDITIONS: Self = Self::Removal(Reverse(Limiting::Permits), Kind::Policy);
}

/// What a step writes to, in the order in which they are added or taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Policy,
    Put,
    Attachment,
    Inline,
    Membership,
}

/// Actions of a plan that are done one right after the other.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// What they do to what the identity may do.
    pub(super) shifts: Vec<Shift>,
    /// The actions.
    pub(super) actions: Vec<Action>,
    /// Where they stand.
    pub(super) place: Place,
}

/// What changes.
enum Object<'a> {
    Inline {
        who: &'a IdentityName,
        name: &'a PolicyName,
        before: Option<&'a Document>,
        after: Option<&'a Document>,
    },
    Managed(Managed<'a>),
    /// What one action changes, whatever it says.
    Whole(Action, Place),
}

/// A managed policy that changes, or is attached or detached.
#[derive(Clone, Copy)]
pub(super) struct Managed<'a> {
    /// Whose it is.
    pub(super) who: &'a IdentityName,
    /// Its ARN.
    pub(super) arn: &'a Arn,
    /// What is known of it.
    pub(super) found: Option<&'a ObservedPolicy>,
    /// What is wanted of it, where it belongs to the identity's resource.
    pub(super) wanted: Option<&'a ManagedPolicy>,
    /// Whether it belongs to the resource, be it that it is to go.
    pub(super) is_own: bool,
    /// Whether it is attached.
    pub(super) was_attached: bool,
    /// Whether it is to be.
    pub(super) is_attached: bool,
}

impl Managed<'_> {
    /// Whether anything is to be written.
    pub(super) fn changes(&self) -> bool {
        let differs =
            |wanted: &ManagedPolicy| self.found.is_none_or(|found| !same(&found.policy.document, &wanted.document) || tags_differ(wanted, found));
        self.was_attached != self.is_attached || self.wanted.is_some_and(differs)
    }
}

fn tags_differ(wanted: &ManagedPolicy, found: &ObservedPolicy) -> bool {
    let mut actions = vec![];
    policy_tags(wanted, found, &mut actions);
    !actions.is_empty()
}

/// A part of the change.
pub(super) struct Part<'a> {
    object: Object<'a>,
    /// What it does.
    pub(super) shifts: Shifts,
    /// Whether nothing more is known of it than that it may allow and deny.
    pub(super) is_opaque: bool,
    /// Whether it is an assume policy.
    pub(super) holds_roles: bool,
    /// Whether one boundary or trust policy takes the place of another.
    pub(super) is_exchange: bool,
    /// The statements of what it says now as far as others or it are to allow the same.
    staying: Vec<Value>,
    limiting: Limiting,
}

impl<'a> Part<'a> {
    /// An inline policy.
    pub(super) fn inline(
        identity: &'a Identity,
        name: &'a PolicyName,
        documents: (Option<&'a Document>, Option<&'a Document>),
        around: &Surroundings,
    ) -> Self {
        let (before, after) = documents;
        let object = Object::Inline { who: &identity.name, name, before, after };
        Self { holds_roles: name.as_str() == ASSUME_POLICY, ..Self::of(object, says(before), says(after), Limiting::Unknown, around) }
    }

    /// A managed policy.
    pub(super) fn managed(identity: &Identity, managed: Managed<'a>, around: &Surroundings) -> Self {
        let unknown = if managed.arn.account() == "aws" { Limiting::OfAWS } else { Limiting::Unknown };
        let in_force =
            |is_attached: bool, document: Option<&'a Document>| if is_attached { document.and_then(Says::of) } else { Some(Says::default()) };
        let there = managed.found.map(|found| &found.policy.document);
        // What is about to be made says nothing before.
        let before = in_force(managed.was_attached && (managed.found.is_some() || managed.wanted.is_none()), there);
        let after = in_force(managed.is_attached, managed.wanted.map(|wanted| &wanted.document).or(there));
        let holds_roles = assume::number(identity, managed.arn).is_some();
        Self { holds_roles, ..Self::of(Object::Managed(managed), before, after, unknown, around) }
    }

    /// A group that the user joins, or leaves.
    pub(super) fn group(action: Action, comes: bool, around: &Surroundings) -> Self {
        let nothing = Some(Says::default());
        let (place, before, after) = match comes {
            true => (Place::Addition(Limiting::Group, Kind::Membership), nothing, None),
            false => (Place::Removal(Reverse(Limiting::Group), Kind::Membership), None, nothing),
        };
        Self::of(Object::Whole(action, place), before, after, Limiting::Group, around)
    }

    /// What all that it does not name is denied by: a boundary, or who a trust policy lets in. It comes, it goes, or one takes the place of another.
    pub(super) fn fence(action: Action, comes: bool, goes: bool) -> Self {
        let place = if comes { Place::First } else { Place::Last };
        let shifts = Shifts::of_everything(comes, goes);
        let object = Object::Whole(action, place);
        Self { object, shifts, is_opaque: false, holds_roles: false, is_exchange: comes && goes, staying: vec![], limiting: Limiting::Denies }
    }

    fn of(object: Object<'a>, before: Option<Says<'a>>, after: Option<Says<'a>>, unknown: Limiting, around: &Surroundings) -> Self {
        let shifts = Shifts::between(before.as_ref(), after.as_ref(), around);
        let is_known = before.is_some() && after.is_some();
        let kept = |(statement, reach): &(StatementRef<'a>, Reach)| {
            let left = without(reach, &beyond(std::slice::from_ref(reach), &around.allowed_after));
            left.into_iter().map(|left| left.written(*statement)).collect::<Vec<_>>()
        };
        let staying = before.iter().flat_map(|says| &says.permissions).flat_map(kept).collect();
        let limiting = match is_known {
            false => unknown,
            true if shifts.new_denials.is_empty() && shifts.ended_denials.is_empty() => Limiting::Permits,
            true => Limiting::Denies,
        };
        let mut part = Self { object, shifts, is_opaque: !is_known, holds_roles: false, is_exchange: false, staying, limiting };
        part.is_opaque |= part.is_fixed() && part.shifts.mixes();
        part
    }

    /// Whether it can be written in one way only.
    fn is_fixed(&self) -> bool {
        match &self.object {
            Object::Inline { .. } => false,
            Object::Managed(managed) => !managed.is_own,
            Object::Whole(..) => true,
        }
    }

    /// The ways to change it, those with fewer writes first. No policy gets larger on the way than `most` characters.
    pub(super) fn ways(&self, manner: Manner, most: usize) -> Vec<Vec<Step>> {
        let mut groupings = manner.groupings(self.is_opaque);
        groupings.truncate(if self.is_fixed() { 1 } else { groupings.len() });
        let does_something = |group: &Vec<Shift>| group.iter().any(|shift| !self.shifts.of(*shift).is_empty());
        let mut seen = vec![];
        for grouping in groupings {
            let grouping: Vec<Vec<Shift>> = grouping.into_iter().filter(does_something).collect();
            if !seen.contains(&grouping) {
                seen.push(grouping);
            }
        }
        seen.into_iter().filter_map(|grouping| self.way(grouping, most)).collect()
    }

    fn way(&self, mut grouping: Vec<Vec<Shift>>, most: usize) -> Option<Vec<Step>> {
        let last = grouping.pop().unwrap_or_default();
        let (mut states, mut done) = (vec![], vec![]);
        for group in grouping {
            done.extend(group.clone());
            states.push((group, self.between(&done)?));
        }
        match &self.object {
            Object::Inline { who, name, before, after } => {
                states.push((last, after.cloned()));
                Some(self.inline_steps(who, name, *before, states))
            }
            Object::Managed(managed) => {
                let most = managed.found.map_or(most, |found| most.max(found.policy.document.size()));
                let fits = states.iter().all(|(_, document)| document.as_ref().is_none_or(|document| document.size() <= most));
                fits.then(|| self.managed_steps(managed, states, last))
            }
            Object::Whole(action, place) => Some(vec![Step { shifts: last, actions: vec![action.clone()], place: *place }]),
        }
    }

    /// The document after some of the shifts; within, None where it says nothing.
    fn between(&self, done: &[Shift]) -> Option<Option<Document>> {
        let (before, after) = self.documents();
        let (old, new) = (before.map(Says::of).unwrap_or_default(), after.map(Says::of).unwrap_or_default());
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        // A variable of the older language is plain text, which another version would not say.
        let of_same_language = before.is_none() || after.is_none() || before.map(Document::version) == after.map(Document::version);
        let carried = |value: &Value| of_same_language || !value.to_string().contains("${");
        let remaining = |old: &[(StatementRef<'a>, Reach)], new: &[(StatementRef<'a>, Reach)]| -> Vec<Value> {
            let new = reaches(new);
            let is_beyond = |reach: &Reach| !beyond(std::slice::from_ref(reach), &new).is_empty();
            old.iter().filter(|(_, reach)| is_beyond(reach)).map(|(statement, _)| statement.to_value()).collect()
        };
        let written = |statements: &[(StatementRef<'a>, Reach)]| -> Vec<Value> { statements.iter().map(|(s, _)| s.to_value()).collect() };
        let is_done = |shift| done.contains(&shift);
        let old_permissions = match (is_done(Shift::NewPermissions), is_done(Shift::PermissionsEnd)) {
            (false, false) => written(&old.permissions),
            (false, true) => self.staying.clone(),
            (true, false) => remaining(&old.permissions, &new.permissions),
            (true, true) => vec![],
        };
        let new_permissions = if is_done(Shift::NewPermissions) { written(&new.permissions) } else { vec![] };
        let (old_denials, new_denials) = match is_done(Shift::NewDenials) {
            true => (remaining(&old.denials, &new.denials), written(&new.denials)),
            false => (written(&old.denials), vec![]),
        };
        let old_statements = old_permissions.into_iter().chain(old_denials).filter(carried);
        let mut statements: Vec<Value> = old_statements.chain(new_permissions).chain(new_denials).collect();
        if statements.is_empty() {
            return Some(None);
        }
        // A Sid stands once in a document, and old and new may have the same.
        statements.iter_mut().filter_map(Value::as_object_mut).for_each(|statement| drop(statement.remove("Sid")));
        let version = after.or(before)?.version().unwrap_or(VERSION_2008);
        Document::from_value(json!({"Version": version, "Statement": statements})).ok().map(Some)
    }

    /// What it says and what it is to say, as far as that is known and in force.
    fn documents(&self) -> (Option<&'a Document>, Option<&'a Document>) {
        match &self.object {
            Object::Inline { before, after, .. } => (*before, *after),
            Object::Managed(Managed { found, wanted, was_attached, is_attached, .. }) => {
                let there = found.map(|found| &found.policy.document);
                (there.filter(|_| *was_attached), wanted.map(|wanted| &wanted.document).or(there).filter(|_| *is_attached))
            }
            Object::Whole(..) => (None, None),
        }
    }

    fn addition(&self, kind: Kind) -> Place {
        Place::Addition(self.limiting, kind)
    }

    fn removal(&self, kind: Kind) -> Place {
        Place::Removal(Reverse(self.limiting), kind)
    }

    fn inline_steps(
        &self,
        who: &IdentityName,
        name: &PolicyName,
        before: Option<&Document>,
        states: Vec<(Vec<Shift>, Option<Document>)>,
    ) -> Vec<Step> {
        let mut steps = vec![];
        let mut is_there = before.is_some();
        for (shifts, document) in states {
            let (action, place) = match document {
                Some(document) => (Action::PutInlinePolicy(who.clone(), name.clone(), document), self.addition(Kind::Put)),
                None => (Action::DeleteInlinePolicy(who.clone(), name.clone()), self.removal(Kind::Inline)),
            };
            let deletes = matches!(action, Action::DeleteInlinePolicy(..));
            // What says nothing in between need not be there.
            let actions = if deletes && !is_there { vec![] } else { vec![action] };
            is_there = !deletes;
            steps.push(Step { shifts, actions, place });
        }
        steps
    }

    fn managed_steps(&self, managed: &Managed<'a>, between: Vec<(Vec<Shift>, Option<Document>)>, last: Vec<Shift>) -> Vec<Step> {
        let Managed { who, arn, found, wanted, was_attached, is_attached, .. } = managed;
        let in_the_end = wanted.map(|wanted| wanted.document.clone());
        let states: Vec<(Vec<Shift>, Option<Document>)> = between.into_iter().chain([(last, in_the_end)]).collect();
        let versions = states.iter().filter(|(_, document)| document.is_some()).count();
        let says = found.map(|found| found.policy.document.clone());
        let mut writer = Writer { arn, found: *found, wanted: *wanted, says, versions, is_tagged: false };
        let (mut steps, mut was_attached) = (vec![], *was_attached);
        let all = states.len();
        for (number, (shifts, document)) in (1..).zip(states) {
            let is_attached = if number == all { *is_attached } else { document.is_some() };
            let write = document.as_ref().map(|document| writer.write(document)).unwrap_or_default();
            // What is made stands where it is attached: so what a plan that was interrupted has not shared out yet goes where it was to go.
            if !write.is_empty() {
                steps.push(Step { shifts: shifts.clone(), actions: write, place: self.addition(Kind::Policy) });
            }
            let attachment = match (was_attached, is_attached) {
                (false, true) => Some((Action::AttachPolicy((*who).clone(), (*arn).clone()), self.addition(Kind::Attachment))),
                (true, false) => Some((Action::DetachPolicy((*who).clone(), (*arn).clone()), self.removal(Kind::Attachment))),
                _ => None,
            };
            steps.extend(attachment.map(|(action, place)| Step { shifts, actions: vec![action], place }));
            was_attached = is_attached;
        }
        steps
    }
}

fn says(document: Option<&Document>) -> Option<Says<'_>> {
    document.map_or_else(|| Some(Says::default()), Says::of)
}

/// Writes the documents of a customer-managed policy, one after the other.
struct Writer<'a> {
    arn: &'a Arn,
    found: Option<&'a ObservedPolicy>,
    wanted: Option<&'a ManagedPolicy>,
    /// The document in force.
    says: Option<Document>,
    /// How many more are to be written.
    versions: usize,
    is_tagged: bool,
}

impl Writer<'_> {
    /// Makes this the document in force, where it is not.
    fn write(&mut self, document: &Document) -> Vec<Action> {
        let mut actions = vec![];
        match (&self.says, self.wanted) {
            (Some(says), _) if same(says, document) => {}
            (Some(_), _) => {
                actions.extend(self.prune());
                actions.push(Action::CreatePolicyVersion(self.arn.clone(), document.clone()));
            }
            (None, Some(wanted)) => actions.push(Action::CreatePolicy(Box::new(ManagedPolicy { document: document.clone(), ..wanted.clone() }))),
            (None, None) => {}
        }
        self.says = Some(document.clone());
        if let (false, Some(wanted), Some(found)) = (self.is_tagged, self.wanted, self.found) {
            policy_tags(wanted, found, &mut actions);
        }
        self.is_tagged = true;
        actions
    }

    /// The oldest versions make room for all that are to be written; what is in force is never among them.
    fn prune(&mut self) -> Vec<Action> {
        let others = self.found.map(|found| found.other_versions.as_slice()).unwrap_or_default();
        let surplus = (others.len() + 1 + std::mem::take(&mut self.versions)).saturating_sub(POLICY_VERSIONS);
        others.iter().take(surplus).map(|version| Action::DeletePolicyVersion(self.arn.clone(), version.clone())).collect()
    }
}
