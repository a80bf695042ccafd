//! Filters: what stands behind a bar.

mod choose;
mod gather;
mod measure;
mod wording;

use crate::arguments::{Arguments, required, text, truth, whole};
use crate::error::{Result, failed};
use crate::evaluate::Vm;
use crate::json::{self, Style};
use crate::operators::escape;
use crate::print;
use crate::text::Writer;
use crate::value::{Missing, Shape, Value};

const NAMES: [&str; 51] = [
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "filesizeformat",
    "first",
    "float",
    "forceescape",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "wordcount",
    "wordwrap",
];

/// Whether there is such a filter.
pub fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

impl Vm<'_> {
    /// Applies a filter. Errors: `Failed` where there is none of this name, or not for such values; `Limit`.
    pub fn filter(&mut self, name: &str, value: Value, args: Arguments) -> Result<Value> {
        self.budget.spend(1)?;
        match name {
            "default" | "d" => {
                let [unless, falsy] = args.bind(name, ["default_value", "boolean"])?;
                let is_missing = matches!(value, Value::Undefined(_))
                    || (truth(&falsy, false) && !value.is_true());
                match (is_missing, unless) {
                    (false, _) => Ok(value),
                    (true, Some(unless)) => Ok(unless),
                    (true, None) => Value::text("", &self.budget),
                }
            }
            "tojson" => self.to_json(&value, args),
            "string" => {
                let [] = args.bind(name, [])?;
                Ok(Value::Text(print::string(&value, &self.budget)?))
            }
            "safe" | "escape" | "e" | "forceescape" => {
                let [] = args.bind(name, [])?;
                let text = print::string(&value, &self.budget)?;
                if text.is_markup && name != "forceescape" {
                    return Ok(Value::Text(text));
                }
                let mut out = Writer::new(&self.budget)?;
                match name {
                    "safe" => out.push(text.as_str())?,
                    _ => escape(text.as_str(), &mut out)?,
                }
                Ok(out.markup())
            }
            "pprint" => {
                let [] = args.bind(name, [])?;
                let mut out = Writer::new(&self.budget)?;
                print::write_repr(&value, &mut out, 0)?;
                Ok(out.value())
            }
            "attr" => {
                let [attribute] = args.bind(name, ["name"])?;
                let attribute = required(attribute, name, "name")?;
                let attribute = print::string(&attribute, &self.budget)?;
                match value {
                    // Entries of a mapping are no attributes.
                    Value::Dict(_) if value.method(attribute.as_str()).is_none() => {
                        Ok(Value::Undefined(Missing::Key("dict", attribute)))
                    }
                    value => self.attribute(&value, &attribute),
                }
            }
            "format" => self.percent_filter(&value, args),
            "length" | "count" | "first" | "last" | "min" | "max" | "sum" | "abs" | "int"
            | "float" | "round" | "filesizeformat" => self.measure(name, value, args),
            "map" | "select" | "reject" | "selectattr" | "rejectattr" => {
                self.choose(name, value, args)
            }
            "list" | "items" | "dictsort" | "sort" | "unique" | "groupby" | "batch" | "slice"
            | "reverse" | "join" => self.gather(name, value, args),
            name if is_known(name) => self.wording(name, value, args),
            _ => Err(failed(format!("No filter named '{name}'."))),
        }
    }

    fn percent_filter(&mut self, value: &Value, args: Arguments) -> Result<Value> {
        let text = print::string(value, &self.budget)?;
        if !args.positional.is_empty() && !args.named.is_empty() {
            return Err(failed(
                "can't handle positional and keyword arguments at the same time",
            ));
        }
        let given = match args.named.is_empty() {
            true => {
                let mut items = crate::value::Items::new(&self.budget)?;
                for value in args.positional {
                    items.push(value)?;
                }
                items.value(Shape::Tuple)
            }
            false => {
                let mut entries = crate::value::Entries::new(&self.budget)?;
                for (name, value) in args.named {
                    entries.set(Value::Text(name), value)?;
                }
                entries.value()
            }
        };
        self.percent(text.as_str(), &given)
    }

    fn to_json(&self, value: &Value, args: Arguments) -> Result<Value> {
        let names = ["ensure_ascii", "indent", "separators", "sort_keys"];
        let [ensure_ascii, indent, separators, sort_keys] = args.bind("tojson", names)?;
        let indent = match indent {
            None | Some(Value::None) => None,
            Some(Value::Text(indent)) => Some(indent.as_str().to_owned()),
            indent => {
                let mut blanks = Writer::new(&self.budget)?;
                blanks.blanks(crate::arguments::size(whole(&indent, 0)?))?;
                Some(blanks.into_string())
            }
        };
        let (mut comma, mut colon) = match indent {
            None => (", ".to_owned(), ": ".to_owned()),
            Some(_) => (",".to_owned(), ": ".to_owned()),
        };
        if let Some(separators) = separators.filter(|value| !matches!(value, Value::None)) {
            let list = self.walked(&separators)?;
            let [first, second] = list.items.as_slice() else {
                return Err(failed("separators are a pair of texts"));
            };
            let (first, second) = (Some(first.clone()), Some(second.clone()));
            comma = text(&first)?.unwrap_or_default().to_owned();
            colon = text(&second)?.unwrap_or_default().to_owned();
        }
        let style = Style {
            ensure_ascii: truth(&ensure_ascii, false),
            indent,
            comma,
            colon,
            sort_keys: truth(&sort_keys, false),
        };
        let mut out = Writer::new(&self.budget)?;
        json::write(value, &style, &mut out, 0)?;
        Ok(out.value())
    }
}
