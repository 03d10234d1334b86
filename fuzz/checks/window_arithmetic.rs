//! Panes and windows of fixed size: the arithmetic agrees with the definition, at any instant.

use llm_optimizer_processor::engine::{
    core::EventTime,
    window::{WindowKind, WindowSpec},
};

use super::bytes::Bytes;

/// Size, slide, offset and an instant from the input; every window of the instant's pane is checked.
pub(crate) fn window_arithmetic(data: &[u8]) {
    let mut bytes = Bytes(data);
    let (size, slide, offset) = (bytes.number(), bytes.number(), bytes.number());
    let Ok(spec) = WindowSpec::sliding(size, slide, offset, 0) else { return };
    let Ok(at) = EventTime::new(bytes.number()) else { return };
    let WindowKind::Sliced(slices) = spec.kind() else { panic!("these windows are sliced") };
    let at = at.as_millis();

    let pane = slices.pane_of(at);
    assert!(slices.is_in(pane, at) && pane <= at && at < pane + slices.pane());
    assert_eq!((size % slices.pane(), slide % slices.pane()), (0, 0));

    let (first, last) = (slices.first_start(pane), slices.last_start(pane));
    assert_eq!(last, slices.last_start(at), "an instant and its pane have the same windows");
    for start in [first, last] {
        assert_eq!(
            (start - offset).rem_euclid(slide),
            0,
            "windows start at multiples of the slide"
        );
        assert!(start <= pane && pane + slices.pane() <= start + size, "a window holds its panes");
    }
    assert!(first - slide + size <= at, "the window before the first is over");
    assert!(at < last + slide, "the window after the last has not begun");
    let windows = (last - first) / slide + 1;
    assert!(windows == size / slide || windows == size / slide + 1, "{windows} windows");
}
