//! How many cells there are, and which of them several sequences have in common.
//!
//! Pure. A cell here is a token's place in our books; which of llama.cpp's cells it is does not matter, only that a
//! cell is free again when the last sequence that has it lets go.

/// A place for one token of one or several sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell(u32);

/// All cells of a context.
#[derive(Debug)]
pub struct Cells {
    /// Sequences that have each cell.
    users: Vec<u16>,
    free: Vec<Cell>,
}

impl Cells {
    /// `count` free ones.
    pub fn new(count: usize) -> Cells {
        let count = u32::try_from(count).expect("a context holds fewer than 2^32 tokens");
        Cells {
            users: vec![0; count as usize],
            free: (0..count).rev().map(Cell).collect(),
        }
    }

    /// Free or not.
    pub fn count(&self) -> usize {
        self.users.len()
    }

    /// Free ones.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// A free one for one sequence; `None` when there is none.
    pub fn take(&mut self) -> Option<Cell> {
        let cell = self.free.pop()?;
        self.users[cell.0 as usize] = 1;
        Some(cell)
    }

    /// One more sequence has these.
    pub fn share(&mut self, cells: &[Cell]) {
        for cell in cells {
            self.users[cell.0 as usize] += 1;
        }
    }

    /// Whether no other sequence has any of these.
    pub fn are_single(&self, cells: &[Cell]) -> bool {
        cells.iter().all(|cell| self.users[cell.0 as usize] == 1)
    }

    /// A sequence lets go of these.
    pub fn give_back(&mut self, cells: impl Iterator<Item = Cell>) {
        for cell in cells {
            let users = &mut self.users[cell.0 as usize];
            *users -= 1;
            if *users == 0 {
                self.free.push(cell);
            }
        }
    }

    /// How many different ones there are among these.
    pub fn distinct<'a>(&self, cells: impl Iterator<Item = &'a Cell>) -> usize {
        let mut seen = vec![false; self.users.len()];
        cells
            .filter(|cell| !std::mem::replace(&mut seen[cell.0 as usize], true))
            .count()
    }
}
