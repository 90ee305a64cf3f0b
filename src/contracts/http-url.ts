// Where something is reached over HTTP. z.url() by itself takes any scheme: mailto: is one, too.
import * as z from "zod";

export const httpUrl = z.url({ protocol: /^https?$/, error: "an http(s) URL" });
