//! A search string as one statement, in the shapes that the SDK builds: a subquery for each
//! condition, a join for the order, an offset for the page.

use rusqlite::types::Value;

use super::dates;
use super::parameters::{Kind, Parameters};

pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

/// SQLite's smallest integer, in place of a date that is not there: what has none comes last.
const LEAST: &str = "-9223372036854775808";

impl Statement {
    pub(crate) fn of(parameters: &Parameters, search: &str, page: u64) -> Self {
        let (kind, words) = search.split_once('?').expect("a type and parameters");
        let (mut filters, mut sorted, mut most) = (Vec::new(), None, None);
        for word in words.split('&') {
            let (name, value) = word.split_once('=').expect("a parameter has a value");
            match name {
                "_count" => most = Some(value.parse::<u64>().expect("a count is a number")),
                "_sort" => sorted = value.strip_prefix('-'),
                _ => filters.push(within(parameters, kind, name, value)),
            }
        }
        let (mut sql, mut values) = (
            "SELECT a.resourceUuid, a.serializedResource FROM ResourceEntity a".to_owned(),
            Vec::new(),
        );
        if let Some(date) = sorted {
            for (table, alias) in [("DateIndexEntity", 'b'), ("DateTimeIndexEntity", 'c')] {
                sql += &format!(
                    " LEFT JOIN {table} {alias} \
                     ON a.resourceUuid = {alias}.resourceUuid AND {alias}.index_name = ?"
                );
                values.push(date.to_owned().into());
            }
        }
        let filters = filters.into_iter().map(|filter| {
            values.extend(filter.values);
            format!("a.resourceUuid IN ({})", filter.sql)
        });
        sql += " WHERE ";
        sql += &filters.collect::<Vec<_>>().join(" AND ");
        if sorted.is_some() {
            sql += &format!(
                " GROUP BY a.resourceUuid \
                 HAVING MAX(IFNULL(b.index_from, 0) + IFNULL(c.index_from, 0)) >= {LEAST} \
                 ORDER BY IFNULL(b.index_from, {LEAST}) DESC, IFNULL(c.index_from, {LEAST}) DESC"
            );
        }
        if let Some(most) = most {
            sql += " LIMIT ? OFFSET ?";
            values.push((most as i64).into());
            values.push((((page - 1) * most) as i64).into());
        }
        Self { sql, values }
    }
}

/// The subquery for the resources of a type that one condition is true of.
fn within(parameters: &Parameters, kind: &str, name: &str, value: &str) -> Statement {
    if let Some(path) = name.strip_prefix("_has:") {
        let [from, reference, name] = path.split(':').collect::<Vec<_>>()[..] else {
            panic!("a type, a reference and a parameter");
        };
        let inner = within(parameters, from, name, value);
        let mut values = vec![kind.to_owned().into(), reference.to_owned().into()];
        values.extend(inner.values);
        let id = kind.len() + "/".len() + 1;
        return Statement {
            sql: format!(
                "SELECT resourceUuid FROM ResourceEntity a WHERE a.resourceType = ? \
                 AND a.resourceId IN (SELECT substr(a.index_value, {id}) \
                 FROM ReferenceIndexEntity a WHERE a.index_name = ? \
                 AND a.resourceUuid IN ({}))",
                inner.sql
            ),
            values,
        };
    }
    if let Some((reference, name)) = name.split_once('.') {
        // The SDK has no chains. This is the same nesting, the other way round.
        let target = parameters.named(kind, reference).targets;
        let inner = within(parameters, target, name, value);
        let mut values = vec![kind.to_owned().into(), reference.to_owned().into()];
        values.extend(inner.values);
        return Statement {
            sql: format!(
                "SELECT resourceUuid FROM ReferenceIndexEntity WHERE resourceType = ? \
                 AND index_name = ? AND index_value IN \
                 (SELECT a.resourceType || '/' || a.resourceId FROM ResourceEntity a \
                 WHERE a.resourceUuid IN ({}))",
                inner.sql
            ),
            values,
        };
    }
    let mut values: Vec<Value> = vec![kind.to_owned().into(), name.to_owned().into()];
    let (table, condition) = match parameters.named(kind, name).kind {
        Kind::Date => {
            let date = value.strip_prefix("ge").expect("no other is asked for");
            let (from, _) = dates::millis(date).expect("it is a date");
            values.push(from.into());
            ("DateTimeIndexEntity", "index_to >= ?")
        }
        Kind::Reference => {
            values.push(value.to_owned().into());
            ("ReferenceIndexEntity", "index_value = ?")
        }
        Kind::String => {
            values.push(value.to_owned().into());
            (
                "StringIndexEntity",
                "index_value LIKE ? || '%' COLLATE NOCASE",
            )
        }
        Kind::Token => match value.split_once('|') {
            None => {
                values.push(value.to_owned().into());
                ("TokenIndexEntity", "index_value = ?")
            }
            Some((system, code)) => {
                values.extend([code.to_owned().into(), system.to_owned().into()]);
                (
                    "TokenIndexEntity",
                    "(index_value = ? AND IFNULL(index_system, '') = ?)",
                )
            }
        },
        Kind::Number | Kind::Quantity | Kind::Uri => panic!("no such search is measured"),
    };
    Statement {
        sql: format!(
            "SELECT resourceUuid FROM {table} \
             WHERE resourceType = ? AND index_name = ? AND {condition}"
        ),
        values,
    }
}
