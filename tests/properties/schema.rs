//! Whatever the schemas let in is understood. The objects are drawn from the CustomResourceDefinitions, not from the types.

use std::time::{Duration, Instant};

use proptest::test_runner::TestRunner;
use rolebridge::api::reading::Read;
use rolebridge::api::{AWSAccount, BastionUser, CrossAccountRole, Managed, crds};
use rolebridge::core::subject::{Remembered, Subject};
use rolebridge::core::wanted::Restraint;

use super::*;

/// Any value that a schema lets in; of bounds that are far away, some of the way.
fn any_of(schema: &Value) -> BoxedStrategy<Value> {
    if let Some(values) = schema["enum"].as_array() {
        return select(values.clone()).boxed();
    }
    match schema["type"].as_str() {
        Some("object") => any_object(schema),
        Some("array") => any_list(schema),
        Some("string") => any_text(schema),
        Some("boolean") => any::<bool>().prop_map(Value::from).boxed(),
        Some("integer") => any_integer(schema),
        Some("number") => any::<f64>().prop_filter("JSON has no other", |number| number.is_finite()).prop_map(Value::from).boxed(),
        Some(other) => panic!("no values are drawn of {other}: {schema}"),
        None => {
            assert_eq!(schema["x-kubernetes-preserve-unknown-fields"], json!(true), "neither typed nor open: {schema}");
            anything(schema)
        }
    }
}

/// Where a schema is open: a value of any type, within the bounds that it has for each.
fn anything(schema: &Value) -> BoxedStrategy<Value> {
    let plain = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
    ];
    prop_oneof![2 => plain, 1 => any_text(schema), 1 => any_list(schema), 2 => any_object(schema)].boxed()
}

fn any_object(schema: &Value) -> BoxedStrategy<Value> {
    if let Some(alternatives) = alternatives(schema) {
        return alternatives;
    }
    let required: BTreeSet<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let named: Vec<BoxedStrategy<Option<(String, Value)>>> = properties
        .map(|(name, schema)| {
            let (key, value) = (name.clone(), any_of(schema));
            let present = if required.contains(name.as_str()) { Just(true).boxed() } else { any::<bool>().boxed() };
            (present, value).prop_map(move |(present, value)| present.then(|| (key.clone(), value))).boxed()
        })
        .collect();
    let most = schema["maxProperties"].as_u64().map_or(3, |most| most.min(3) as usize);
    let more = match &schema["additionalProperties"] {
        inner @ Value::Object(_) => btree_map(".{0,6}", any_of(inner), 0..=most).boxed(),
        _ if schema["x-kubernetes-preserve-unknown-fields"] == true => btree_map(".{0,6}", any::<u8>().prop_map(Value::from), 0..=most).boxed(),
        _ => Just(BTreeMap::new()).boxed(),
    };
    (named, more).prop_map(|(named, more)| named.into_iter().flatten().chain(more).collect::<serde_json::Map<_, _>>().into()).boxed()
}

/// One field of an object that has exactly one of all its fields, as a rule of its schema says.
fn alternatives(schema: &Value) -> Option<BoxedStrategy<Value>> {
    let properties = schema["properties"].as_object().filter(|properties| properties.len() > 1)?;
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten().filter_map(|rule| rule["rule"].as_str());
    let is_of_all = |rule: &str| rule.ends_with(".exists_one(x, x)") && properties.keys().all(|name| rule.contains(&format!("has(self.{name})")));
    rules.into_iter().find(|rule| is_of_all(rule))?;
    let one = |(name, schema): (&String, &Value)| {
        let name = name.clone();
        any_of(schema).prop_map(move |value| json!({&name: value})).boxed()
    };
    Some(proptest::strategy::Union::new(properties.iter().map(one)).boxed())
}

fn any_list(schema: &Value) -> BoxedStrategy<Value> {
    let most = schema["maxItems"].as_u64().map_or(3, |most| most.min(3) as usize);
    let least = schema["minItems"].as_u64().unwrap_or(0) as usize;
    let item = match &schema["items"] {
        inner @ Value::Object(_) => any_of(inner),
        _ => any::<u8>().prop_map(Value::from).boxed(),
    };
    vec(item, least..=most.max(least)).prop_map(Value::Array).boxed()
}

fn any_text(schema: &Value) -> BoxedStrategy<Value> {
    let most = schema["maxLength"].as_u64().map_or(12, |most| most.min(12));
    let telling = ["", "90d", "1h", "0", "null", "true", "9999-12-31T23:59:59-12:00", "arn:aws:iam::1:root", "*", "\u{0}", "\u{1F511}"];
    let short: Vec<&str> = telling.into_iter().filter(|text| text.chars().count() as u64 <= most).collect();
    let of_form = |form: &str| proptest::string::string_regex(form).expect("it is a pattern").prop_map(Value::from);
    match schema["pattern"].as_str() {
        Some(pattern) => of_form(&pattern.replace(['^', '$'], "")).boxed(),
        None => prop_oneof![select(short).prop_map(Value::from), of_form(&format!(".{{0,{most}}}"))].boxed(),
    }
}

fn any_integer(schema: &Value) -> BoxedStrategy<Value> {
    let narrow = schema["format"] == "int32";
    let least = schema["minimum"].as_f64().map_or(if narrow { i64::from(i32::MIN) } else { i64::MIN }, |least| least as i64);
    let most = schema["maximum"].as_f64().map_or(if narrow { i64::from(i32::MAX) } else { i64::MAX }, |most| most as i64);
    prop_oneof![Just(least), Just(most), least..=most].prop_map(Value::from).boxed()
}

/// Any object of a kind, as its schema has it.
fn any_resource<K: Managed>() -> BoxedStrategy<Value> {
    let definition = crds().expect("they are fixed").into_iter().find(|crd| crd.spec.names.kind == K::KIND).expect("each kind has one");
    let schema = serde_json::to_value(definition).expect("it is plain")["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    let metadata = json!({"name": "x", "namespace": "n", "uid": "u", "resourceVersion": "1", "generation": 1});
    any_object(&schema)
        .prop_map(move |mut object| {
            object["metadata"] = metadata.clone();
            object
        })
        .boxed()
}

fn is_understood<K: Managed>(object: &Value) -> Result<(), TestCaseError> {
    let text = object.to_string();
    let read: Read<K> = serde_json::from_str(&text).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
    let object = read.into_object(None);
    prop_assert_eq!(object.unread(), None, "{}", text);
    Ok(())
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn every_account_that_the_schema_lets_in_is_understood(object in any_resource::<AWSAccount>()) {
        is_understood::<AWSAccount>(&object)?;
    }

    #[test]
    fn every_user_that_the_schema_lets_in_is_understood(object in any_resource::<BastionUser>()) {
        is_understood::<BastionUser>(&object)?;
    }

    #[test]
    fn every_role_that_the_schema_lets_in_is_understood(object in any_resource::<CrossAccountRole>()) {
        is_understood::<CrossAccountRole>(&object)?;
    }
}

/// Takes a user or role through all that is decided of it before AWS is looked at, and to the plan for an account that has nothing.
fn is_carried_through<K: Subject>(text: &str) {
    let Ok(read) = serde_json::from_str::<Read<K>>(text) else { return };
    let object = read.into_object(None);
    let cluster = Cluster::classic();
    let at = resolve_account(&cluster, "prod").expect("it is there");
    let texts = cluster.texts(Some("n"), object.permissions());
    if let Ok(desired) = object.desired(&cluster, &at, &texts, INSTALLATION) {
        let _ = plan(&desired, &Observed::default());
    }
    let owner = Owner { installation: INSTALLATION.into(), resource: "x".into(), uid: "u".into(), earlier: Earlier::TakenOver };
    let _ = object.held_back(
        &cluster,
        &at,
        owner.clone(),
        Remembered { pinned: object.pinned(), ..Remembered::default() },
        Restraint { is_bounded: true, cut_off: None },
        &Observed::default(),
    );
    let _ = object.removed(&cluster, &at, owner, object.pinned());
}

/// A text with a few of its bytes changed.
fn changed(text: &str, changes: &[(usize, u8)]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (place, byte) in changes {
        let place = place % bytes.len();
        bytes[place] = *byte;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Nothing that the API server can deliver, and no text near it, makes the operator panic. `ROLEBRIDGE_MINUTES` goes on for longer.
#[test]
fn the_way_from_text_to_what_is_wanted_holds_whatever_is_delivered() {
    let minutes = std::env::var("ROLEBRIDGE_MINUTES").ok().and_then(|minutes| minutes.parse().ok()).unwrap_or(0);
    let (began, bytes) = (Instant::now(), vec((any::<usize>(), any::<u8>()), 0..4));
    let cases = (any_resource::<BastionUser>(), any_resource::<CrossAccountRole>(), bytes);
    let mut count = 0;
    loop {
        TestRunner::new(ProptestConfig { failure_persistence: None, ..config(200) })
            .run(&cases, |(user, role, changes)| {
                for text in [user.to_string(), changed(&user.to_string(), &changes)] {
                    is_carried_through::<BastionUser>(&text);
                }
                for text in [role.to_string(), changed(&role.to_string(), &changes)] {
                    is_carried_through::<CrossAccountRole>(&text);
                }
                Ok(())
            })
            .expect("no case panics");
        count += 200;
        if began.elapsed() >= Duration::from_secs(60 * minutes) {
            break;
        }
    }
    println!("{count} users and as many roles, each as it is and changed");
}
