//! Filters that put items together in another way.

use std::cmp::Ordering;

use crate::arguments::{Arguments, required, size, truth, whole};
use crate::compare;
use crate::error::{Result, failed};
use crate::evaluate::Vm;
use crate::print;
use crate::text::Writer;
use crate::value::{Items, Shape, Value};

impl Vm<'_> {
    /// `list`, `sort` and their kin. Errors: `Failed` for values that they are not for; `Limit`.
    pub fn gather(&mut self, name: &str, value: Value, args: Arguments) -> Result<Value> {
        match name {
            "list" => {
                let [] = args.bind(name, [])?;
                let list = self.walked(&value)?;
                let mut items = Items::new(&self.budget)?;
                for item in &list.items {
                    items.push(item.clone())?;
                }
                Ok(items.value(Shape::List))
            }
            "items" => {
                let [] = args.bind(name, [])?;
                let mut items = Items::new(&self.budget)?;
                match &value {
                    Value::Undefined(_) => {}
                    Value::Dict(dict) => {
                        for (key, value) in &dict.entries {
                            items.push(self.pair(key, value)?)?;
                        }
                    }
                    _ => return Err(failed("Can only get item pairs from a mapping.")),
                }
                Ok(items.once())
            }
            "dictsort" => {
                let [cased, by, reverse] = args.bind(name, ["case_sensitive", "by", "reverse"])?;
                let by_value = match by.as_ref().and_then(Value::as_str) {
                    None | Some("key") => 0,
                    Some("value") => 1,
                    Some(_) => {
                        return Err(failed("You can only sort by either \"key\" or \"value\""));
                    }
                };
                let Value::Dict(dict) = &value else {
                    return Err(match &value {
                        Value::Undefined(missing) => self.undefined(missing),
                        other => failed(format!(
                            "'{} object' has no attribute 'items'",
                            other.type_name()
                        )),
                    });
                };
                let mut keyed = Vec::new();
                for (key, value) in &dict.entries {
                    let by = if by_value == 1 { value } else { key };
                    let by = self.folded(by, truth(&cased, false))?;
                    keyed.push((by, self.pair(key, value)?));
                }
                let sorted = self.sorted(keyed, truth(&reverse, false))?;
                self.collected(sorted)
            }
            "sort" => {
                let names = ["reverse", "case_sensitive", "attribute"];
                let [reverse, cased, attribute] = args.bind(name, names)?;
                let keyed = self.keyed(&value, attribute, truth(&cased, false))?;
                let sorted = self.sorted(keyed, truth(&reverse, false))?;
                self.collected(sorted)
            }
            "unique" => {
                let [cased, attribute] = args.bind(name, ["case_sensitive", "attribute"])?;
                let keyed = self.keyed(&value, attribute, truth(&cased, false))?;
                let mut seen: Vec<Value> = Vec::new();
                let mut items = Items::new(&self.budget)?;
                'items: for (key, item) in keyed {
                    for own in &seen {
                        if own.equals(&key, &self.budget)? {
                            continue 'items;
                        }
                    }
                    seen.push(key);
                    items.push(item)?;
                }
                Ok(items.once())
            }
            "groupby" => self.grouped(value, args),
            "batch" | "slice" => {
                let [count, fill] = args.bind(name, ["count", "fill_with"])?;
                let count = size(whole(&count, 0)?);
                if count == 0 {
                    return Err(failed(format!("{name} needs a number above 0")));
                }
                match name {
                    "batch" => self.batched(&value, count, fill),
                    _ => self.columns(&value, count, fill),
                }
            }
            "reverse" => {
                let [] = args.bind(name, [])?;
                if let Value::Text(text) = &value {
                    let mut out = Writer::new(&self.budget)?;
                    for c in text.as_str().chars().rev() {
                        out.push_char(c)?;
                    }
                    return Ok(out.value());
                }
                let list = self.walked(&value)?;
                let mut items = Items::new(&self.budget)?;
                for item in list.items.iter().rev() {
                    items.push(item.clone())?;
                }
                Ok(items.once())
            }
            _ => self.joined(&value, args),
        }
    }

    fn joined(&mut self, value: &Value, args: Arguments) -> Result<Value> {
        let [separator, attribute] = args.bind("join", ["d", "attribute"])?;
        let separator = match separator {
            Some(separator) => Some(print::string(&separator, &self.budget)?),
            None => None,
        };
        let list = self.walked(value)?;
        let mut out = Writer::new(&self.budget)?;
        for (n, item) in list.items.iter().enumerate() {
            if n > 0
                && let Some(separator) = &separator
            {
                out.push(separator.as_str())?;
            }
            match &attribute {
                Some(path) => print::write(&self.path(item, path)?, &mut out)?,
                None => print::write(item, &mut out)?,
            }
        }
        Ok(out.value())
    }

    /// Texts in small letters, unless their case counts.
    fn folded(&mut self, value: &Value, cased: bool) -> Result<Value> {
        match value {
            Value::Text(text) if !cased => {
                let text = text.clone();
                self.text_method(&text, "lower", Arguments::default())
            }
            other => Ok(other.clone()),
        }
    }

    fn keyed(
        &mut self,
        value: &Value,
        attribute: Option<Value>,
        cased: bool,
    ) -> Result<Vec<(Value, Value)>> {
        let list = self.walked(value)?;
        self.budget.look(list.items.len() * 64)?;
        let mut keyed = Vec::new();
        for item in &list.items {
            let key = match &attribute {
                None | Some(Value::None) => item.clone(),
                Some(path) => self.path(item, path)?,
            };
            keyed.push((self.folded(&key, cased)?, item.clone()));
        }
        Ok(keyed)
    }

    fn sorted(&self, keyed: Vec<(Value, Value)>, reverse: bool) -> Result<Vec<(Value, Value)>> {
        compare::sort(keyed, reverse, &mut |a, b| a.0.order(&b.0, &self.budget))
    }

    fn collected(&self, sorted: Vec<(Value, Value)>) -> Result<Value> {
        let mut items = Items::new(&self.budget)?;
        for (_, item) in sorted {
            items.push(item)?;
        }
        Ok(items.value(Shape::List))
    }

    fn grouped(&mut self, value: Value, args: Arguments) -> Result<Value> {
        let names = ["attribute", "default", "case_sensitive"];
        let [attribute, default, cased] = args.bind("groupby", names)?;
        let path = required(attribute, "groupby", "attribute")?;
        let cased = truth(&cased, false);
        let list = self.walked(&value)?;
        let mut keyed = Vec::new();
        for item in &list.items {
            let mut key = self.path(item, &path)?;
            if let (Value::Undefined(_), Some(default)) = (&key, &default) {
                key = default.clone();
            }
            keyed.push((self.folded(&key, cased)?, self.pair(&key, item)?));
        }
        let sorted = self.sorted(keyed, false)?;
        let mut groups = Items::new(&self.budget)?;
        let mut rest = sorted.into_iter().peekable();
        while let Some((key, first)) = rest.next() {
            let mut members = Items::new(&self.budget)?;
            let Value::List(pair) = &first else { break };
            members.push(pair.items[1].clone())?;
            while let Some((next, other)) = rest.peek()
                && next.order(&key, &self.budget)? == Ordering::Equal
            {
                if let Value::List(pair) = other {
                    members.push(pair.items[1].clone())?;
                }
                rest.next();
            }
            let mut group = Items::new(&self.budget)?;
            group.push(pair.items[0].clone())?;
            group.push(members.value(Shape::List))?;
            groups.push(group.value(Shape::Group))?;
        }
        Ok(groups.value(Shape::List))
    }

    fn batched(&mut self, value: &Value, count: usize, fill: Option<Value>) -> Result<Value> {
        let list = self.walked(value)?;
        let mut batches = Items::new(&self.budget)?;
        for part in list.items.chunks(count) {
            let mut batch = Items::new(&self.budget)?;
            for item in part {
                batch.push(item.clone())?;
            }
            if let Some(fill) = fill.as_ref().filter(|fill| !matches!(fill, Value::None)) {
                for _ in part.len()..count {
                    batch.push(fill.clone())?;
                }
            }
            batches.push(batch.value(Shape::List))?;
        }
        Ok(batches.once())
    }

    fn columns(&mut self, value: &Value, count: usize, fill: Option<Value>) -> Result<Value> {
        let list = self.walked(value)?;
        let (each, longer) = (list.items.len() / count, list.items.len() % count);
        let fill = fill.filter(|fill| !matches!(fill, Value::None));
        let mut columns = Items::new(&self.budget)?;
        let mut at = 0;
        for column in 0..count {
            let len = each + usize::from(column < longer);
            let mut items = Items::new(&self.budget)?;
            for item in &list.items[at..at + len] {
                items.push(item.clone())?;
            }
            at += len;
            if let Some(fill) = &fill
                && column >= longer
                && longer > 0
            {
                items.push(fill.clone())?;
            }
            columns.push(items.value(Shape::List))?;
        }
        Ok(columns.once())
    }
}
