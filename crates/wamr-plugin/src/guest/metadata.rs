//! What a guest reads as output 1: the counts of its turn under the names that guests know, and more.

use serde_json::{Map, Value, json};

/// The document of the engine's `turn`, or of no turn. `with_times`: times are told.
pub fn document(turn: &Value, with_times: bool) -> String {
    let count = |key: &str| turn.get(key).and_then(Value::as_u64).unwrap_or(0);
    let told = |key: &str| turn.get(key).cloned().unwrap_or(Value::Null);
    let mut document = json!({
        "input_tokens": count("prompt_tokens"),
        "output_tokens": count("completion_tokens"),
        // The package that llama.cpp comes in tells no build number, only the version.
        "llama_build_number": 0,
        "llama_commit": engine::llama_version(),
        "stop_reason": told("finish_reason"),
        "stop_detail": told("finish_detail"),
        "cached_tokens": count("cached_tokens"),
    });
    if with_times {
        let time = |key: &str| turn.get(key).and_then(Value::as_f64);
        let first = time("queue_ms").zip(time("prefill_ms"));
        let times = [
            ("prompt_ms", time("prefill_ms")),
            ("predicted_ms", time("decode_ms")),
            // Two times in whole microseconds: so is their sum.
            (
                "ttft_ms",
                first.map(|(queued, prefill)| ((queued + prefill) * 1e3).round() / 1e3),
            ),
        ];
        let times: Map<String, Value> = times
            .into_iter()
            .map(|(key, time)| (key.to_owned(), time.into()))
            .collect();
        document
            .as_object_mut()
            .into_iter()
            .for_each(|all| all.extend(times.clone()));
    }
    if let Some(odds) = turn.get("logprobs") {
        document["logprobs"] = odds.clone();
    }
    document.to_string()
}

/// An embedding as guests read it: ten significant digits are more than a 32-bit number has.
pub fn embedding(values: &[f32]) -> String {
    let numbers: Vec<Value> = values.iter().map(|&value| number(value)).collect();
    json!({"n_embedding": values.len(), "embedding": numbers}).to_string()
}

/// The score of a text, as a ranking model gives it.
pub fn score(values: &[f32]) -> String {
    json!({"score": values.first().map(|&value| number(value))}).to_string()
}

fn number(value: f32) -> Value {
    let rounded = format!("{value:.9e}").parse::<f64>();
    rounded.map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_a_turn_all_counts_are_there_and_nothing() {
        let document: Value = serde_json::from_str(&document(&json!({}), true)).unwrap();
        for key in ["input_tokens", "output_tokens", "cached_tokens"] {
            assert_eq!(document[key], 0, "{key}");
        }
        assert!(document["llama_build_number"].is_u64());
        assert!(document["llama_commit"].is_string());
        assert!(document["prompt_ms"].is_null() && document["stop_reason"].is_null());
    }

    #[test]
    fn the_time_to_the_first_token_has_the_wait_in_it() {
        let turn = json!({"queue_ms": 1.5, "prefill_ms": 2.0, "decode_ms": 3.0});
        let with: Value = serde_json::from_str(&document(&turn, true)).unwrap();
        assert_eq!(
            (&with["ttft_ms"], &with["predicted_ms"]),
            (&json!(3.5), &json!(3.0))
        );
        let without: Value = serde_json::from_str(&document(&turn, false)).unwrap();
        assert_eq!(without.get("ttft_ms"), None);
    }

    #[test]
    fn numbers_have_ten_digits_and_come_back_as_they_were() {
        let text = embedding(&[0.1, -1.0 / 3.0]);
        assert_eq!(
            text,
            r#"{"n_embedding":2,"embedding":[0.1000000015,-0.3333333433]}"#
        );
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value["embedding"][1].as_f64().map(|v| v as f32),
            Some(-1.0 / 3.0)
        );
    }
}
