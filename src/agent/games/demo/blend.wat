;; A sprite's plane laid over a picture's: d + ((d·fade + 4·add)·opacity + 0x8000 >> 16), kept within [16, codeMax].
;; Eight pixels at a time, by the SIMD that every Node 20 has; what is left of a row, one by one.
;; blend.wasm is made of this file: `npm run wasm`.
(module
  (memory (export "memory") 1)

  (func (export "blend")
    ;; The picture's plane.
    (param $pixels i32) (param $width i32)
    ;; The sprite's: pairs (fade, add), two bytes each, and of each row the columns [first, last).
    (param $paint i32) (param $spans i32) (param $spriteWidth i32)
    ;; Of its rows those within the picture; `left` may be outside.
    (param $row i32) (param $rowEnd i32) (param $left i32) (param $top i32)
    (param $opacity i32) (param $codeMax i32)
    (local $column i32) (local $at i32) (local $end i32) (local $source i32) (local $code i32)
    (local $beneath v128) (local $changed v128)
    (local $opacities v128) (local $halves v128) (local $fours v128) (local $least v128) (local $most v128)
    (local.set $opacities (i32x4.splat (local.get $opacity)))
    (local.set $halves (i32x4.splat (i32.const 0x8000)))
    (local.set $fours (i16x8.splat (i32.const 4)))
    (local.set $least (i16x8.splat (i32.const 16)))
    (local.set $most (i16x8.splat (local.get $codeMax)))

    (block $picture
      (loop $rows
        (br_if $picture (i32.ge_s (local.get $row) (local.get $rowEnd)))
        ;; From the span's first column, or the picture's.
        (local.set $at (i32.add (local.get $spans) (i32.shl (local.get $row) (i32.const 2))))
        (local.set $column (i32.load16_s (local.get $at)))
        (local.set $column (select (local.get $column) (i32.sub (i32.const 0) (local.get $left))
          (i32.gt_s (local.get $column) (i32.sub (i32.const 0) (local.get $left)))))
        (local.set $end (i32.load16_s offset=2 (local.get $at)))
        (local.set $end (select (local.get $end) (i32.sub (local.get $width) (local.get $left))
          (i32.lt_s (local.get $end) (i32.sub (local.get $width) (local.get $left)))))
        (local.set $source (i32.add (local.get $paint) (i32.shl
          (i32.add (i32.mul (local.get $row) (local.get $spriteWidth)) (local.get $column)) (i32.const 2))))
        (local.set $at (i32.add (i32.add (local.get $pixels) (i32.add (local.get $left) (local.get $column)))
          (i32.mul (i32.add (local.get $top) (local.get $row)) (local.get $width))))
        (local.set $end (i32.add (local.get $at) (i32.sub (local.get $end) (local.get $column))))

        (block $few
          (loop $eights
            (br_if $few (i32.gt_s (i32.add (local.get $at) (i32.const 8)) (local.get $end)))
            (local.set $beneath (v128.load8x8_u (local.get $at)))
            ;; dot: (d, 4)·(fade, add) of four pixels.
            (local.set $changed (i16x8.narrow_i32x4_s
              (i32x4.shr_s (i32x4.add (local.get $halves) (i32x4.mul (local.get $opacities) (i32x4.dot_i16x8_s
                (v128.load (local.get $source))
                (i8x16.shuffle 0 1 16 17 2 3 18 19 4 5 20 21 6 7 22 23 (local.get $beneath) (local.get $fours)))))
                (i32.const 16))
              (i32x4.shr_s (i32x4.add (local.get $halves) (i32x4.mul (local.get $opacities) (i32x4.dot_i16x8_s
                (v128.load offset=16 (local.get $source))
                (i8x16.shuffle 8 9 24 25 10 11 26 27 12 13 28 29 14 15 30 31 (local.get $beneath) (local.get $fours)))))
                (i32.const 16))))
            (local.set $changed (i16x8.min_s (local.get $most)
              (i16x8.max_s (local.get $least) (i16x8.add_sat_s (local.get $beneath) (local.get $changed)))))
            (v128.store64_lane 0 (local.get $at) (i8x16.narrow_i16x8_u (local.get $changed) (local.get $changed)))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (local.set $source (i32.add (local.get $source) (i32.const 32)))
            (br $eights)))

        (block $none
          (loop $ones
            (br_if $none (i32.ge_s (local.get $at) (local.get $end)))
            (local.set $code (i32.load8_u (local.get $at)))
            (local.set $code (i32.add (local.get $code) (i32.shr_s (i32.add (i32.const 0x8000)
              (i32.mul (local.get $opacity) (i32.add
                (i32.mul (local.get $code) (i32.load16_s (local.get $source)))
                (i32.shl (i32.load16_s offset=2 (local.get $source)) (i32.const 2)))))
              (i32.const 16))))
            (local.set $code (select (local.get $code) (i32.const 16) (i32.gt_s (local.get $code) (i32.const 16))))
            (local.set $code
              (select (local.get $code) (local.get $codeMax) (i32.lt_s (local.get $code) (local.get $codeMax))))
            (i32.store8 (local.get $at) (local.get $code))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (local.set $source (i32.add (local.get $source) (i32.const 4)))
            (br $ones)))

        (local.set $row (i32.add (local.get $row) (i32.const 1)))
        (br $rows)))))
