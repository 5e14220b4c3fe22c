//! What a FHIR resource says, in one line for a person to read.
//!
//! **Does** pick a name, and a value where there is one, out of the JSON.
//! **Never** understands more of FHIR than that.
//! **Format** FHIR R4 JSON.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A short text for a resource: what it is about, then what was measured.
pub(crate) fn in_a_line(json: &[u8]) -> String {
    let resource: Value = serde_json::from_slice(json).unwrap_or_default();
    let name = NAMES.iter().find_map(|path| text(resource.pointer(path)?));
    let measured: Option<Measured<'_>> = serde_json::from_slice(json).ok();
    let values: Vec<_> = measured.iter().flat_map(Measured::values).collect();
    let line = format!("{}  {}", name.unwrap_or(""), values.join(", "));
    line.trim_end().to_owned()
}

/// Where resources keep a name for what they are about, the better one first.
const NAMES: [&str; 10] = [
    "/code",
    "/medicationCodeableConcept",
    "/vaccineCode",
    "/reasonCode/0",
    "/type/0",
    "/type",
    "/category/0",
    "/class",
    "/description",
    "/name/0",
];

/// A string, or the best text of a CodeableConcept, a Coding or a HumanName.
fn text(value: &Value) -> Option<&str> {
    let texts = [
        "",
        "/text",
        "/coding/0/display",
        "/display",
        "/family",
        "/coding/0/code",
    ];
    let mut texts = texts.iter().filter_map(|path| value.pointer(path));
    texts.find_map(Value::as_str)
}

/// What was measured: one value, or several such as those of a blood pressure.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Measured<'a> {
    #[serde(borrow)]
    value_quantity: Option<Quantity<'a>>,
    #[serde(borrow, default)]
    component: Vec<Self>,
}

/// A number as it is written, since `1.00` says more than `1.0`, and its unit.
#[derive(Deserialize)]
struct Quantity<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(default)]
    unit: String,
}

impl Measured<'_> {
    fn values(&self) -> Vec<String> {
        let own = self.value_quantity.iter();
        let own = own.map(|quantity| format!("{} {}", quantity.value, quantity.unit));
        own.chain(self.component.iter().flat_map(Self::values))
            .collect()
    }
}
