//! x
fn main() { for c in rolebridge::api::crds().unwrap_or_default() { println!("---\n{}", serde_saphyr::to_string(&c).unwrap_or_default()); } }
