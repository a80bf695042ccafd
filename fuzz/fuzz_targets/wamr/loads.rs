//! Loading: by name and path, with configs, from a guest's memory, with the arguments of hosts to come.

use crate::abi::{self, INVALID_ARGUMENT, INVALID_ENCODING, TOO_LARGE, span};
use crate::call::{Bytes, Config, Name, Text, lie};
use crate::host::{Case, Host};
use crate::world::MODEL;

impl Host<'_> {
    pub fn load_by_name(&self, ctx: u8, name: &Name, is_late: bool, pick: u8) {
        if !self.world.may_load() {
            return;
        }
        let ctx = self.world.instance(ctx);
        let text = name.text();
        let (text_place, len, is_true) = self.text(name.place, &text, name.lie);
        let place = self.memory.room(pick, 4);
        // What the register of a fifth argument holds where there is none.
        let noise = 0xdead_beef_dead_beef;
        let (fourth, fifth) = match is_late {
            true => (usize::from(pick % 5), place.at),
            false => (place.at, noise),
        };
        let before = self.memory.snapshot();
        // SAFETY: a text of that length or an address that is no memory, and a place or none.
        let code = unsafe { abi::load_by_name(ctx.handle, text_place.at, len, fourth, fifth) };
        let is_text = text_place.is_right && is_true && name.may_be_one();
        self.check(
            &Case {
                function: "load_by_name",
                documented: abi::LOAD,
                is_bad: self.is_refused(ctx) || !is_text && is_true || !place.is_right,
            },
            code,
        );
        if let Some(number) = self.number("load_by_name", code, place, &before) {
            self.world.loaded(number, ctx);
        }
    }

    pub fn load_with_config(&self, ctx: u8, name: &Name, config: &Config, pick: u8) {
        if !self.world.may_load() {
            return;
        }
        let ctx = self.world.instance(ctx);
        let text = name.text();
        let (text_place, len, is_true) = self.text(name.place, &text, name.lie);
        let (config_place, config_len, _) = self.text(config.place, config.text(), config.lie);
        let place = self.memory.room(pick, 4);
        let before = self.memory.snapshot();
        // SAFETY: texts of these lengths or addresses that are no memory, and a place or none.
        let code = unsafe {
            abi::load_by_name_with_config(
                ctx.handle,
                text_place.at,
                len,
                config_place.at,
                config_len,
                place.at,
            )
        };
        let is_text = text_place.is_right && is_true && name.may_be_one();
        self.check(
            &Case {
                function: "load_by_name_with_config",
                documented: abi::LOAD,
                is_bad: self.is_refused(ctx) || !is_text && is_true || !place.is_right,
            },
            code,
        );
        if let Some(number) = self.number("load_by_name_with_config", code, place, &before) {
            self.world.loaded(number, ctx);
        }
    }

    pub fn load_bytes(&self, ctx: u8, bytes: &Bytes, hints: u8, config: &Config, pick: u8) {
        if !self.world.may_load() {
            return;
        }
        let ctx = self.world.instance(ctx);
        let mut model = MODEL.1.clone();
        if let Some((at, byte)) = bytes.spoilt {
            model[usize::from(at)] = byte;
        }
        let len = match bytes.cut {
            0..=31 => model.len(),
            cut @ 32..=63 => usize::from(cut) - 32,
            cut => model.len() / 256 * usize::from(cut),
        };
        let (config_place, config_len, _) = self.text(config.place, config.text(), config.lie);
        // A model is too large for the guest's memory, so it lies in the host's.
        let model_at = model.as_ptr().expose_provenance();
        let mut builders = span(model_at, len as u32, 0xffff_ffff);
        builders.extend(span(config_place.at, config_len, 0));
        let builders = self.memory.lay(bytes.places[0], &builders);
        let (count, _) = lie(bytes.parts, 1 + usize::from(bytes.parts % 2));
        let builder = span(builders.at, count, 7);
        let builder = self.memory.lay(bytes.places[1], &builder);
        let place = self.memory.room(pick, 4);
        // Half of the numbers mean the one that works.
        let encoding = u32::from(hints % 16).min(8);
        let encoding = if encoding == 8 { 5 } else { encoding };
        let target = u32::from(hints >> 6);
        let before = self.memory.snapshot();
        // SAFETY: parts of these sizes, or addresses that are no memory.
        let code = unsafe { abi::load(ctx.handle, builder.at, encoding, target, place.at) };
        let documented = [abi::LOAD, &[TOO_LARGE]].concat();
        let is_count = (1..=2).contains(&count);
        // Of one part the first half is enough.
        let are_parts = builders.is_right || builders.is_torn && count == 1;
        let is_whole = are_parts && builder.is_right && is_count;
        let is_taken = matches!(encoding, 5 | 6);
        self.check(
            &Case {
                function: "load",
                documented: &documented,
                is_bad: self.is_refused(ctx)
                    || !is_whole
                    || !is_taken
                    || len < MODEL.1.len()
                    || !place.is_right,
            },
            code,
        );
        if self.world.is_calm && self.world.is_alone && !self.may_be_refused(ctx) {
            if !is_taken {
                assert_eq!(code, INVALID_ENCODING, "load took encoding {encoding}");
            } else if !is_count && builder.is_right {
                assert_eq!(code, INVALID_ARGUMENT, "load took {count} parts");
            } else if is_whole && !model.starts_with(b"GGUF") {
                assert_eq!(code, INVALID_ENCODING, "load took what is no model");
            }
        }
        if let Some(number) = self.number("load", code, place, &before) {
            self.world.loaded(number, ctx);
        }
    }
}

impl Name {
    /// The model's, where it is.
    pub const GOOD: Name = Name {
        pick: 0,
        lie: 0,
        place: 0,
    };

    fn text(&self) -> Vec<u8> {
        let path = MODEL.0.as_os_str().as_encoded_bytes();
        match self.pick % 16 {
            0..=3 => path.to_vec(),
            4..=6 => b"pip".to_vec(),
            7 => [path, b"\0"].concat(),
            8 => b"gone".to_vec(),
            9 => b"no such model".to_vec(),
            10 => b"/".to_vec(),
            11 => b"../../../etc/hostname".to_vec(),
            12 => b"pip\0and more".to_vec(),
            13 => vec![b'p', 0xFF, 0xFE],
            14 => vec![b'n'; 4097],
            _ => Vec::new(),
        }
    }

    fn may_be_one(&self) -> bool {
        self.pick % 16 <= 7
    }
}

impl Config {
    /// One that works.
    pub const GOOD: Config = Config {
        pick: 0,
        own: Text::NONE,
        lie: 0,
        place: 0,
    };
}
