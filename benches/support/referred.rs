//! The resources of a bundle as a server keeps them.

use std::collections::HashMap;

use serde_json::Value;

/// The resources of a bundle, which refer to each other by type and id.
pub(crate) fn referred(bundle: &[u8]) -> Vec<Value> {
    let bundle: Value = serde_json::from_slice(bundle).unwrap();
    let entries = bundle["entry"].as_array().unwrap();
    let name = |entry: &Value| {
        let resource = &entry["resource"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let named = format!(
            "{}/{}",
            text(&resource["resourceType"]),
            text(&resource["id"])
        );
        (text(&entry["fullUrl"]), named)
    };
    let names: HashMap<_, _> = entries.iter().map(name).collect();
    let resource = |entry: &Value| {
        let mut resource = entry["resource"].clone();
        rename(&mut resource, &names);
        resource
    };
    entries.iter().map(resource).collect()
}

fn rename(value: &mut Value, names: &HashMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str().and_then(|text| names.get(text)) {
                    Some(named) if name == "reference" => *member = named.clone().into(),
                    _ => rename(member, names),
                }
            }
        }
        Value::Array(elements) => elements
            .iter_mut()
            .for_each(|element| rename(element, names)),
        _ => {}
    }
}
