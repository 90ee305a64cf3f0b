/** The server cannot listen; the message says what to do. */
export class ListenError extends Error {
  override name = "ListenError";
}
