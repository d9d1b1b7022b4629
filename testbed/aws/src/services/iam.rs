//! IAM: our rules before and after the crate's handlers.

use std::collections::HashMap;

use axum::body::Bytes;
use fakecloud_core::{
    multi_account::MultiAccountState,
    service::{AwsResponse, AwsService, ResponseBody},
};
use fakecloud_iam::IamState;

use super::take_request;
use crate::{
    failure::Failure,
    rules::{
        account_details, boundaries, characters, clock, deletion, existence, identifiers, known_services, managed_policies, names, paging,
        partitions, passwords, principals, protected, quotas, sessions, shared_issuers, tags, trust_policy, unique_ids, unmodifiable,
    },
    wire::Call,
    world::World,
};

type Parameters = HashMap<String, String>;

/// Answers an authorised call. Writes come one at a time (see [`World::writes`]).
///
/// # Errors
/// The error of the rule that refuses, or what the crate's handler says.
pub async fn handle(world: &World, call: &mut Call) -> Result<AwsResponse, Failure> {
    let partition = world.partition_of(&call.request.account_id);
    partitions::as_stored(&partition, &mut call.request.query_params)?;
    match carry_out(world, call).await {
        Ok(mut reply) => {
            if partition != partitions::DEFAULT {
                edit(&mut reply, |document| partitions::as_shown(&partition, document));
            }
            Ok(reply)
        }
        Err(failure) => Err(Failure { message: partitions::as_shown(&partition, &failure.message), ..failure }),
    }
}

async fn carry_out(world: &World, call: &mut Call) -> Result<AwsResponse, Failure> {
    let operation = call.operation.clone();
    let account_id = call.request.account_id.clone();
    let parameters = &mut call.request.query_params;
    check_form(&operation, parameters)?;
    partitions::check_resources(&world.partition_of(&account_id), &operation, parameters)?;
    account_details::without_policies_of_aws(&operation, parameters);
    paging::shorten(&operation, parameters, world.settings.page_size());
    check_state(world, &account_id, &operation, parameters)?;
    if operation == "UpdateAssumeRolePolicy" {
        return update_assume_role_policy(world, call);
    }
    let parameters = call.request.query_params.clone();
    let replaced = principal_before(world, &account_id, &operation, &parameters);
    let mut reply = world.iam_service.handle(take_request(call)).await.map_err(|error| in_the_apis_words(error.into()))?;
    let mut states = world.iam.write();
    if let Some(replaced) = replaced {
        replaced.follow(&mut states, &account_id, &parameters);
    }
    if let Some(state) = states.get_mut(&account_id) {
        clock::stamp(state, &operation, &parameters, world.now());
        after(state, &operation, &parameters, &mut reply);
        remember(world, state, &operation, &parameters);
    }
    if operation.starts_with("Create") {
        edit(&mut reply, |document| clock::in_reply(document, world.now()));
    }
    if ["GetRole", "ListRoles", "GetAccountAuthorizationDetails"].contains(&operation.as_str()) {
        let (now, duration_ms) = (world.now(), world.settings.unique_ids_ms());
        edit(&mut reply, |document| unique_ids::shown_for_a_while(&states, &account_id, &world.trust_writes, now, duration_ms, document));
    }
    if operation == "GetAccountSummary" {
        edit(&mut reply, |document| quotas::in_summary(&quotas_of(world, &account_id), document));
    }
    Ok(reply)
}

/// What later rules ask about calls that were carried out.
fn remember(world: &World, state: &IamState, operation: &str, parameters: &Parameters) {
    let name = |parameter: &str| parameters.get(parameter).map_or("", String::as_str);
    match operation {
        "DeleteUser" => world.recreations.deleted(&state.account_id, name("UserName")),
        "CreateUser" => {
            if let Some(user) = state.users.get(name("UserName")) {
                world.recreations.created(&state.account_id, &user.user_name, &user.user_id);
            }
        }
        "CreateRole" => {
            if let Some(role) = state.roles.get(name("RoleName")) {
                world.trust_writes.written(&role.role_id, world.now());
            }
        }
        _ => {}
    }
}

/// The rules about the parameters alone.
fn check_form(operation: &str, parameters: &Parameters) -> Result<(), Failure> {
    names::check_characters(operation, parameters)?;
    names::check_paths(parameters)?;
    paging::check_size(parameters)?;
    characters::check_description(operation, parameters)?;
    sessions::check_longest(operation, parameters)?;
    // Trust policies are checked with the rest of their form.
    if operation != "UpdateAssumeRolePolicy" {
        characters::check_document(parameters)?;
    }
    let request_tags = tags::of_request(parameters);
    tags::check_reserved(&request_tags)?;
    tags::check_form(&request_tags)
}

/// The rules that depend on what is there, and the form in which IAM stores what it is given.
fn check_state(world: &World, account_id: &str, operation: &str, parameters: &mut Parameters) -> Result<(), Failure> {
    let states = world.iam.read();
    let state = states.get(account_id).ok_or_else(|| Failure::unknown_key(false))?;
    names::check_unique(state, operation, parameters)?;
    existence::check(state, operation, parameters)?;
    protected::check(state, operation, parameters)?;
    managed_policies::check_attachable(operation, parameters)?;
    passwords::check(state, operation, parameters)?;
    unmodifiable::check(state, operation, parameters, &world.recreations, world.now(), world.settings.unmodifiable_ms())?;
    boundaries::check_exists(state, parameters.get("PermissionsBoundary").map(String::as_str))?;
    let name = |parameter: &str| parameters.get(parameter).map_or("", String::as_str);
    match operation {
        "DeleteUser" => deletion::check_user(state, name("UserName"))?,
        "DeletePolicy" => deletion::check_policy(state, name("PolicyArn"))?,
        "DeleteVirtualMFADevice" => deletion::check_mfa_device(state, name("SerialNumber"))?,
        "UntagUser" => {
            if let Some(user) = state.users.get(name("UserName")) {
                tags::remove_without_case(&user.tags, parameters);
            }
        }
        "UntagRole" => {
            if let Some(role) = state.roles.get(name("RoleName")) {
                tags::remove_without_case(&role.tags, parameters);
            }
        }
        _ => {}
    }
    store_trust_policy(world, &states, account_id, operation, parameters)?;
    quotas::check(state, &quotas_of(world, account_id), operation, parameters)
}

/// Checks the trust policy that a call brings, and puts it into the form that is stored.
fn store_trust_policy(
    world: &World,
    states: &MultiAccountState<IamState>,
    account_id: &str,
    operation: &str,
    parameters: &mut Parameters,
) -> Result<(), Failure> {
    let parameter = match operation {
        "CreateRole" => "AssumeRolePolicyDocument",
        "UpdateAssumeRolePolicy" => "PolicyDocument",
        _ => return Ok(()),
    };
    let Some(document) = parameters.get_mut(parameter) else { return Ok(()) };
    let partition = world.partition_of(account_id);
    let has_account = |account: &str| world.has_account(account) && world.partition_of(account) == partition;
    let has_propagated = |created_at| world.has_propagated(created_at);
    let exists = |kind: &str, principal: &str| match kind {
        "Service" => known_services::may_be_named(&partition, principal),
        _ => principals::exists(states, &partition, &has_account, &has_propagated, principal),
    };
    let checked = trust_policy::validate(document, &exists)?;
    shared_issuers::check(&checked, world.now())?;
    let mut stored = checked.clone();
    trust_policy::accounts_as_root_arns(&mut stored, &partition);
    // Otherwise the text stays as it came, white space included.
    if stored != checked {
        *document = stored.to_string();
    }
    Ok(())
}

fn quotas_of(world: &World, account_id: &str) -> quotas::Quotas {
    world.of_account(account_id, |account| account.quotas.clone()).unwrap_or_default()
}

/// `UpdateAssumeRolePolicy` without the crate, which refuses `sts:TagSession` and `sts:SetSourceIdentity`.
fn update_assume_role_policy(world: &World, call: &Call) -> Result<AwsResponse, Failure> {
    let role_name = call.parameter("RoleName").ok_or_else(|| Failure::validation("RoleName is missing"))?;
    let document = call.parameter("PolicyDocument").ok_or_else(|| Failure::validation("PolicyDocument is missing"))?;
    let mut states = world.iam.write();
    let role = states
        .get_mut(&call.request.account_id)
        .and_then(|state| state.roles.get_mut(role_name))
        .ok_or_else(|| Failure::no_such_entity(format!("The role with name {role_name} cannot be found.")))?;
    document.clone_into(&mut role.assume_role_policy_document);
    world.trust_writes.written(&role.role_id, world.now());
    Ok(AwsResponse::xml(
        axum::http::StatusCode::OK,
        format!(
            "<UpdateAssumeRolePolicyResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ResponseMetadata>\
             <RequestId>{}</RequestId></ResponseMetadata></UpdateAssumeRolePolicyResponse>",
            call.request.request_id
        ),
    ))
}

/// A principal whose ARN a call is about to change.
enum Replaced {
    /// It will be gone; only its unique id is left.
    Deleted { arn: String, unique_id: String },
    /// It is a user that gets another name or path.
    Renamed { arn: String, unique_id: String },
}

impl Replaced {
    /// After the call: what shows in trust policies, and what hangs on the user's name.
    fn follow(self, states: &mut MultiAccountState<IamState>, account_id: &str, parameters: &Parameters) {
        match self {
            Self::Deleted { arn, unique_id } => unique_ids::show_principal_as(states, &arn, &unique_id),
            Self::Renamed { arn, unique_id } => {
                let Some(state) = states.get_mut(account_id) else { return };
                let Some(user) = state.users.values().find(|user| user.user_id == unique_id).cloned() else { return };
                if let Some(old_name) = parameters.get("UserName") {
                    carry_along(state, old_name, &user.user_name);
                }
                unique_ids::show_principal_as(states, &arn, &user.arn);
            }
        }
    }
}

/// What belongs to a user stays with it when it is renamed; the crate moves part of it.
///
/// Source: UG `id_users_rename.md`.
fn carry_along(state: &mut IamState, old_name: &str, new_name: &str) {
    for key in state.access_keys.values_mut().flatten().filter(|key| key.user_name == old_name) {
        new_name.clone_into(&mut key.user_name);
    }
    for device in state.virtual_mfa_devices.values_mut() {
        if device.user.as_deref() == Some(old_name) {
            device.user = Some(new_name.to_owned());
        }
    }
    if old_name == new_name {
        return;
    }
    if let Some(mut certificates) = state.signing_certificates.remove(old_name) {
        certificates.iter_mut().for_each(|certificate| new_name.clone_into(&mut certificate.user_name));
        state.signing_certificates.insert(new_name.to_owned(), certificates);
    }
    if let Some(mut keys) = state.ssh_public_keys.remove(old_name) {
        keys.iter_mut().for_each(|key| new_name.clone_into(&mut key.user_name));
        state.ssh_public_keys.insert(new_name.to_owned(), keys);
    }
    if let Some(mut credentials) = state.service_specific_credentials.remove(old_name) {
        credentials.iter_mut().for_each(|credential| new_name.clone_into(&mut credential.user_name));
        state.service_specific_credentials.insert(new_name.to_owned(), credentials);
    }
}

fn principal_before(world: &World, account_id: &str, operation: &str, parameters: &Parameters) -> Option<Replaced> {
    let states = world.iam.read();
    let state = states.get(account_id)?;
    let user = || state.users.get(parameters.get("UserName")?).map(|user| (user.arn.clone(), user.user_id.clone()));
    match operation {
        "DeleteUser" => user().map(|(arn, unique_id)| Replaced::Deleted { arn, unique_id }),
        "UpdateUser" => user().map(|(arn, unique_id)| Replaced::Renamed { arn, unique_id }),
        "DeleteRole" => {
            let role = state.roles.get(parameters.get("RoleName")?)?;
            Some(Replaced::Deleted { arn: role.arn.clone(), unique_id: role.role_id.clone() })
        }
        _ => None,
    }
}

/// What the crate leaves in another form than IAM does.
fn after(state: &mut IamState, operation: &str, parameters: &Parameters, reply: &mut AwsResponse) {
    let written = tags::of_request(parameters);
    match operation {
        "TagUser" => {
            if let Some(user) = parameters.get("UserName").and_then(|name| state.users.get_mut(name)) {
                tags::replace_without_case(&mut user.tags, &written);
            }
        }
        "TagRole" => {
            if let Some(role) = parameters.get("RoleName").and_then(|name| state.roles.get_mut(name)) {
                tags::replace_without_case(&mut role.tags, &written);
            }
        }
        "GetAccountAuthorizationDetails" => {
            edit(reply, |document| managed_policies::with_usage(state, &account_details::with_boundaries(state, document)));
        }
        "GetPolicy" | "ListPolicies" => edit(reply, |document| managed_policies::with_usage(state, document)),
        "CreateAccessKey" => {
            let keys = parameters.get("UserName").and_then(|name| state.access_keys.get_mut(name));
            if let Some(key) = keys.and_then(|keys| keys.last_mut()) {
                give_id(&mut key.access_key_id, identifiers::access_key_id("AKIA"), reply);
            }
        }
        "CreateRole" => {
            if let Some(role) = parameters.get("RoleName").and_then(|name| state.roles.get_mut(name)) {
                give_id(&mut role.role_id, identifiers::unique_id("AROA"), reply);
            }
        }
        _ => {}
    }
}

/// Gives a new entity an id in the form of AWS's, in the state and in the reply; the crate's have another prefix or case.
fn give_id(stored: &mut String, id: String, reply: &mut AwsResponse) {
    edit(reply, |document| document.replace(stored.as_str(), &id));
    *stored = id;
}

/// Replaces the document of a reply by what `change` makes of it.
fn edit(reply: &mut AwsResponse, change: impl FnOnce(&str) -> String) {
    if let ResponseBody::Bytes(body) = &reply.body {
        reply.body = ResponseBody::Bytes(Bytes::from(change(&String::from_utf8_lossy(body))));
    }
}

/// The crate says of a missing role, and of some missing users and groups, what the API says in other words.
///
/// Source: TF's acceptance tests ("The role with name ... cannot be found.").
fn in_the_apis_words(mut failure: Failure) -> Failure {
    let named = |kind: &str| failure.message.strip_prefix(kind).and_then(|rest| rest.strip_suffix(" not found")).map(str::to_owned);
    for (kind, word) in [("Role ", "role"), ("User ", "user"), ("Group ", "group")] {
        if let Some(name) = named(kind).filter(|_| failure.code == "NoSuchEntity") {
            failure.message = format!("The {word} with name {name} cannot be found.");
            break;
        }
    }
    failure
}
