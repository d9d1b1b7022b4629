//! The virtual MFA devices of a user that is being deleted.
//!
//! IAM deletes such a device only once it is taken off its user, and from then on nothing leads from the user to it. So its serial number is written into a
//! tag of the user before, which lasts as long as the user: then it is deleted, too, where that fails at first or the operator dies in between.

use std::collections::BTreeSet;

use super::super::action::{Action, Dependent, Tagged};
use super::super::identity::{Identity, IdentityName};
use super::super::ownership::Tags;

/// Begins the keys of the tags; a number follows.
const TAG: &str = "rolebridge.io/mfa-device-";
/// Tags that a user can have (IAM quotas).
const MOST_TAGS: usize = 50;
/// Devices that a user can have (IAM quotas).
const MOST_DEVICES: usize = 8;

/// The devices that the tags of a user tell of.
pub(super) fn told(user: &Identity) -> impl Iterator<Item = Dependent> {
    let devices = user.tags.iter().filter(|(key, _)| key.starts_with(TAG));
    devices.map(|(_, serial)| Dependent::MFADevice(serial.clone()))
}

/// Tells of the devices that no tag tells of yet, as far as there is room for tags and these can have such a text.
pub(super) fn tell(user: &Identity, of_user: &BTreeSet<Dependent>) -> Option<Action> {
    let IdentityName::User(_) = &user.name else { return None };
    let known: BTreeSet<Dependent> = told(user).collect();
    let untold = of_user.iter().filter(|device| !known.contains(device)).filter_map(|device| match device {
        Dependent::MFADevice(serial) if device.is_virtual_device() && is_tag_value(serial) => Some(serial.clone()),
        _ => None,
    });
    let keys = (1..=MOST_DEVICES).map(|number| format!("{TAG}{number}")).filter(|key| !user.tags.contains_key(key));
    let tags: Tags = keys.zip(untold).take(MOST_TAGS.saturating_sub(user.tags.len())).collect();
    (!tags.is_empty()).then(|| Action::Tag(Tagged::Identity(user.name.clone()), tags))
}

/// Names of devices may have a comma, and values of tags may not (IAM API reference, "Tag").
fn is_tag_value(text: &str) -> bool {
    text.len() <= 256 && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.:/=+-@".contains(c))
}
