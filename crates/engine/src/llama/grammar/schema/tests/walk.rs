//! Random texts of a grammar, without a model.

use std::collections::HashMap;

/// A part of a rule.
#[derive(Debug, Clone)]
enum Part {
    Rule(String),
    Text(String),
    Class(Vec<(u32, u32)>),
    Choice(Vec<Vec<Part>>),
    Repeat(Box<Part>, u64, u64),
}

/// What writes texts of one grammar.
pub(super) struct Walk {
    rules: HashMap<String, Vec<Vec<Part>>>,
    /// By rule, how deep its shortest way goes.
    depths: HashMap<String, u32>,
    seed: u64,
}

/// Where repetitions without an end do end.
const MOST: u64 = 4;
/// How deep rules lead before the shortest ways are taken.
const DEPTH: u32 = 30;

impl Walk {
    pub(super) fn new(grammar: &str, seed: u64) -> Walk {
        let mut rules = HashMap::new();
        for line in grammar.lines() {
            let (name, body) = line.split_once(" ::= ").unwrap();
            let mut reader = Reader(body.chars().collect(), 0);
            rules.insert(name.to_owned(), reader.choice());
            assert_eq!(reader.1, reader.0.len(), "{line}");
        }
        let mut walk = Walk {
            rules,
            depths: HashMap::new(),
            seed,
        };
        for _ in 0..200 {
            for (name, ways) in walk.rules.clone() {
                let depth = ways.iter().map(|way| walk.depth(way)).min().unwrap();
                walk.depths.insert(name, depth.saturating_add(1));
            }
        }
        walk
    }

    /// A text of the root.
    pub(super) fn text(&mut self) -> String {
        let mut text = String::new();
        self.write(&Part::Rule("root".to_owned()), 0, &mut text);
        text
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.seed >> 33) % limit
    }

    fn depth(&self, way: &[Part]) -> u32 {
        let one = |part: &Part| match part {
            Part::Rule(name) => self.depths.get(name).copied().unwrap_or(u32::MAX),
            Part::Choice(ways) => ways.iter().map(|way| self.depth(way)).min().unwrap(),
            Part::Repeat(_, 0, _) | Part::Text(_) | Part::Class(_) => 0,
            Part::Repeat(part, _, _) => self.depth(std::slice::from_ref(part)),
        };
        way.iter().map(one).max().unwrap_or(0)
    }

    fn write(&mut self, part: &Part, depth: u32, text: &mut String) {
        match part {
            Part::Text(literal) => text.push_str(literal),
            Part::Class(ranges) => {
                let at = self.below(ranges.len() as u64) as usize;
                let (first, last) = ranges[at];
                let c = first + self.below(u64::from(last - first) + 1) as u32;
                text.push(char::from_u32(c).unwrap());
            }
            Part::Rule(name) => {
                let ways = self
                    .rules
                    .get(name)
                    .unwrap_or_else(|| panic!("no rule {name}"));
                let ways = ways.clone();
                self.choose(&ways, depth + 1, text);
            }
            Part::Choice(ways) => self.choose(ways, depth, text),
            Part::Repeat(part, least, most) => {
                let most = if depth > DEPTH { *least } else { *most };
                let count = least + self.below(most - least + 1);
                (0..count).for_each(|_| self.write(part, depth, text));
            }
        }
    }

    fn choose(&mut self, ways: &[Vec<Part>], depth: u32, text: &mut String) {
        let at = if depth > DEPTH {
            let shortest = (0..ways.len()).min_by_key(|at| self.depth(&ways[*at]));
            shortest.unwrap()
        } else {
            self.below(ways.len() as u64) as usize
        };
        for part in &ways[at] {
            self.write(part, depth, text);
        }
    }
}

struct Reader(Vec<char>, usize);

impl Reader {
    fn peek(&self) -> Option<char> {
        self.0.get(self.1).copied()
    }

    fn next(&mut self) -> char {
        self.1 += 1;
        self.0[self.1 - 1]
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.1 += usize::from(found);
        found
    }

    fn choice(&mut self) -> Vec<Vec<Part>> {
        let mut ways = vec![Vec::new()];
        while let Some(c) = self.peek() {
            let way = ways.last_mut().unwrap();
            match c {
                ')' => break,
                ' ' => self.1 += 1,
                '|' => {
                    self.1 += 1;
                    ways.push(Vec::new());
                }
                '*' | '+' | '?' | '{' => {
                    let part = Box::new(way.pop().unwrap());
                    let (least, most) = self.bounds();
                    way.push(Part::Repeat(part, least, most));
                }
                _ => {
                    let part = self.part();
                    ways.last_mut().unwrap().push(part);
                }
            }
        }
        ways
    }

    fn bounds(&mut self) -> (u64, u64) {
        match self.next() {
            '*' => (0, MOST),
            '+' => (1, MOST),
            '?' => (0, 1),
            _ => {
                let mut bounds = String::new();
                while !self.eat('}') {
                    bounds.push(self.next());
                }
                let (least, most) = bounds.split_once(',').unwrap_or((&bounds, &bounds));
                (least.parse().unwrap(), most.parse().unwrap())
            }
        }
    }

    fn part(&mut self) -> Part {
        match self.next() {
            '(' => {
                let ways = self.choice();
                assert!(self.eat(')'));
                Part::Choice(ways)
            }
            '"' => {
                let mut text = String::new();
                while !self.eat('"') {
                    text.push(char::from_u32(self.character()).unwrap());
                }
                Part::Text(text)
            }
            '[' => {
                let mut ranges = Vec::new();
                while !self.eat(']') {
                    let first = self.character();
                    let is_range = self.peek() == Some('-') && self.0[self.1 + 1] != ']';
                    let last = if is_range && self.eat('-') {
                        self.character()
                    } else {
                        first
                    };
                    ranges.push((first, last));
                }
                Part::Class(ranges)
            }
            c => {
                let mut name = c.to_string();
                while self
                    .peek()
                    .is_some_and(|c| c.is_ascii_alphanumeric() || c == '-')
                {
                    name.push(self.next());
                }
                Part::Rule(name)
            }
        }
    }

    fn character(&mut self) -> u32 {
        let c = self.next();
        if c != '\\' {
            return c.into();
        }
        let digits = match self.next() {
            'n' => return 10,
            't' => return 9,
            'x' => 2,
            'u' => 4,
            'U' => 8,
            c => return c.into(),
        };
        let hex: String = (0..digits).map(|_| self.next()).collect();
        u32::from_str_radix(&hex, 16).unwrap()
    }
}
