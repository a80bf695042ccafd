//! Which contexts move their cells, and that the others say so.

use std::sync::Arc;

use super::super::*;
use super::forge::Forge;
use super::support::*;
use crate::error::Error;

#[test]
fn cells_whose_positions_came_out_of_a_table_are_not_moved() {
    let path = Forge::tabulated().write("tabulated.gguf");
    let model = Arc::new(load(&path).expect("a model with a table of positions"));
    assert!(model.tabulates_positions());
    let mut ctx = Context::new(model, &context_params()).expect("a context");
    assert!(!ctx.can_shift());
    let tokens: Vec<Token> = (260..276).map(Token).collect();
    let seq = ctx.seq(0).unwrap();
    let before = feed(&mut ctx, seq, &tokens);
    // What a shift would have to undo: the same tokens elsewhere say something else.
    ctx.seq_clear(seq);
    let later = [&[Token(280); 4][..], &tokens].concat();
    assert_ne!(feed(&mut ctx, seq, &later), before);
    assert!(ctx.seq_remove(seq, 0, 4), "cells can be cut all the same");
    let refused = ctx.seq_shift(seq, 4, 20, -4);
    assert!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
    assert_eq!(ctx.seq_next_pos(seq), 20, "nothing was moved");
}

#[test]
fn cells_whose_positions_are_rotated_are_moved() {
    let model = Arc::new(load(&Forge::model().write("rotated.gguf")).expect("a model"));
    assert!(!model.tabulates_positions());
    let mut ctx = Context::new(model, &context_params()).expect("a context");
    assert!(ctx.can_shift());
    let seq = ctx.seq(0).unwrap();
    feed(&mut ctx, seq, &(260..276).map(Token).collect::<Vec<_>>());
    assert!(ctx.seq_remove(seq, 0, 4));
    assert_eq!(ctx.seq_shift(seq, 4, 16, -4), Ok(()));
    assert_eq!(ctx.seq_next_pos(seq), 12);
}
