//! The search parameters, for whoever wants to know what there are.

use super::added::Added;
use super::definitions::{Definition, definitions, types};

/// A search parameter of one type of resource, as FHIR R4 or a SearchParameter of the app's defines it.
#[derive(Clone, Copy)]
pub struct SearchParameter {
    resource_type: &'static str,
    definition: &'static Definition,
}

/// The search parameters that R4 defines for every type of resource, by type and code; those that all
/// types have are told for each.
///
/// # Examples
///
/// ```
/// let all: Vec<_> = vitalock::fhir::search_parameters().collect();
/// let date = all.iter().find(|it| (it.resource_type(), it.code()) == ("Observation", "date"));
/// let date = date.expect("Observations have a date");
/// assert_eq!((date.kind(), date.expression()), ("date", "Observation.effective"));
/// assert!(date.is_supported());
/// ```
pub fn search_parameters() -> impl Iterator<Item = SearchParameter> {
    types().flat_map(|resource_type| {
        let all = definitions(resource_type).unwrap_or_default();
        all.iter().map(move |definition| SearchParameter {
            resource_type,
            definition,
        })
    })
}

impl Added {
    pub(crate) fn to_parameter(&self) -> SearchParameter {
        SearchParameter {
            resource_type: self.kind,
            definition: self.definition,
        }
    }
}

impl SearchParameter {
    /// The type of resource, such as `Observation`.
    pub fn resource_type(&self) -> &'static str {
        self.resource_type
    }

    /// The parameter's name in a search, such as `date`.
    pub fn code(&self) -> &'static str {
        self.definition.code
    }

    /// What its values are: `number`, `date`, `string`, `token`, `reference`, `composite`, `quantity`,
    /// `uri` or `special`.
    pub fn kind(&self) -> &'static str {
        self.definition.kind.name()
    }

    /// The FHIRPath expression that finds its values; empty where the definition has none.
    pub fn expression(&self) -> &'static str {
        self.definition.text
    }

    /// Whether resources can be searched by it.
    pub fn is_supported(&self) -> bool {
        self.definition.expression.is_some()
    }
}

impl std::fmt::Debug for SearchParameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SearchParameter")
            .field("resource_type", &self.resource_type)
            .field("code", &self.code())
            .finish_non_exhaustive()
    }
}
