//! A service of AWS that assumes a role on behalf of a customer, as Lambda, EC2 or EKS Pod Identity do.

use std::collections::BTreeMap;

use fakecloud_core::auth::ConditionContext;

use super::sts;
use crate::{
    authorize::{self, permission::Permission},
    failure::Failure,
    rules::{access_denied::Denial, assume_role, condition_keys, known_services, outsiders, sessions::Session, tags},
    world::World,
};

/// What a service asks for.
#[derive(Debug, Clone, Default)]
pub struct Assumption {
    /// The service, for example `pods.eks.amazonaws.com`.
    pub service: String,
    /// The role.
    pub role_arn: String,
    /// Name of the session.
    pub session_name: String,
    /// Session tags, in order.
    pub tags: Vec<(String, String)>,
    /// Keys of the tags that stay down a chain.
    pub transitive_tag_keys: Vec<String>,
    /// Further condition keys, such as `aws:SourceAccount`, by name.
    pub keys: BTreeMap<String, String>,
}

/// Why a service does not get a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The request itself is wrong.
    Invalid(Failure),
    /// There is no such role, or it has not propagated.
    NoSuchRole,
    /// The organisation that the role is in refuses an action.
    ResourceControl {
        /// For example `sts:AssumeRole`.
        action: &'static str,
        /// By a statement, or because none allows it.
        denial: Denial,
    },
    /// The trust policy refuses an action, the first of those that are needed.
    Trust {
        /// For example `sts:TagSession`.
        action: &'static str,
        /// By a statement, or because none allows it.
        denial: Denial,
    },
}

/// Makes the session that the service asks for, of an hour.
///
/// Session tags need `sts:TagSession` in the trust policy; those of EKS Pod Identity are transitive, so every role that is
/// assumed from there needs it too. Source: UG `id_session-tags.md`; eks-pod-identity-agent#80.
///
/// # Errors
/// See [`Refusal`].
pub fn assume(world: &World, asked: &Assumption) -> Result<Session, Refusal> {
    assume_role::check_form(&asked.session_name, None, None).map_err(Refusal::Invalid)?;
    let session_tags = tags::check_session_tags(&asked.tags).map_err(Refusal::Invalid)?;
    let account_id = asked.role_arn.split(':').nth(4).unwrap_or_default();
    if !known_services::exists(&world.partition_of(account_id), &asked.service) {
        return Err(Refusal::Invalid(Failure::validation(format!("There is no service {}", asked.service))));
    }
    let role = sts::find_role(world, account_id, &asked.role_arn).ok_or(Refusal::NoSuchRole)?;
    let now = world.now();
    let mut context = ConditionContext {
        aws_current_time: Some(now),
        aws_epoch_time: Some(now.timestamp()),
        aws_secure_transport: Some(true),
        request_tags: (!session_tags.is_empty()).then(|| session_tags.clone().into_iter().collect()),
        ..ConditionContext::default()
    };
    context.service_keys = asked.keys.iter().map(|(key, value)| (key.to_ascii_lowercase(), vec![value.clone()])).collect();
    context.service_keys.insert("aws:principalisawsservice".to_owned(), vec!["true".to_owned()]);
    context.service_keys.insert("aws:principalservicename".to_owned(), vec![asked.service.clone()]);
    context.service_keys.insert("sts:rolesessionname".to_owned(), vec![asked.session_name.clone()]);
    if !asked.transitive_tag_keys.is_empty() {
        context.service_keys.insert("sts:transitivetagkeys".to_owned(), asked.transitive_tag_keys.clone());
    }
    let actions = assume_role::required_actions(!session_tags.is_empty(), false);
    let caller = outsiders::service(&asked.service);
    for action in &actions {
        let permission = Permission { action: (*action).to_owned(), resource: role.arn.clone() };
        let context = condition_keys::of_action(action, &context);
        authorize::within_resource_control(world, account_id, &caller, &permission, &context)
            .map_err(|denial| Refusal::ResourceControl { action, denial })?;
    }
    outsiders::admitted(&role.assume_role_policy_document, &caller, &actions, &context)
        .map_err(|(action, denial)| Refusal::Trust { action, denial })?;
    let mut session = sts::role_session(world, account_id, &role, &asked.session_name, 3_600);
    session.tags = session_tags;
    session.transitive_tag_keys = asked.transitive_tag_keys.iter().cloned().collect();
    world.sessions.insert(session.clone());
    Ok(session)
}
