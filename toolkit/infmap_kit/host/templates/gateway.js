// Judges an inference request before Triton sees it: the HTTP parser of Triton 24.10 dies of lists that are nested
// deep (CVE-2025-23310 and its like) and of shapes without data. Only the binary tensor extension passes, with a
// short JSON header that says of each tensor what the body holds. For njs 0.7.9 or newer.

const MOST_HEADER_BYTES = 8192;
const MOST_TENSORS = 32;
const SIZES = { UINT8: 1, FP32: 4 };

function only(object, keys) {
    return object !== null && typeof object === 'object' && !Array.isArray(object)
        && Object.keys(object).every((key) => keys.includes(key));
}

function isName(value) {
    return typeof value === 'string' && /^[A-Za-z0-9_]{1,64}$/.test(value);
}

// Bytes of a tensor that is as large as it says; NaN for any other.
function inputBytes(tensor) {
    if (!only(tensor, ['name', 'shape', 'datatype', 'parameters']) || !isName(tensor.name)
        || !only(tensor.parameters, ['binary_data_size'])
        || !Array.isArray(tensor.shape) || tensor.shape.length < 1 || tensor.shape.length > 8
        || !tensor.shape.every((length) => Number.isInteger(length) && length > 0)) {
        return NaN;
    }
    const bytes = tensor.shape.reduce((product, length) => product * length, SIZES[tensor.datatype]);
    return bytes === tensor.parameters.binary_data_size ? bytes : NaN;
}

function isId(value) {
    return typeof value === 'string' && /^[\w.:-]{0,128}$/.test(value);
}

// Whether an object says under a key, and nothing else, that tensors are binary or not.
function isBinary(object, key) {
    return only(object, [key]) && typeof object[key] === 'boolean';
}

function isOutput(tensor) {
    return only(tensor, ['name', 'parameters']) && isName(tensor.name)
        && (tensor.parameters === undefined
            || isBinary(tensor.parameters, 'binary_data'));
}

function isFew(list) {
    return Array.isArray(list) && list.length <= MOST_TENSORS;
}

// Why a request is refused; an empty text when it is not.
function fault(body, headerLength) {
    if (!/^[1-9][0-9]{0,5}$/.test(headerLength || '') || Number(headerLength) > MOST_HEADER_BYTES) {
        return 'expected binary tensors: Inference-Header-Content-Length of at most '
            + MOST_HEADER_BYTES;
    }
    const length = Number(headerLength);
    if (body.length < length) {
        return 'the body is shorter than Inference-Header-Content-Length';
    }
    const text = body.slice(0, length).toString('utf8');
    let header;
    try {
        header = JSON.parse(text);
    } catch (error) {
        return 'the header is not JSON';
    }
    // Of a key that stands twice Triton takes the first, and JavaScript the last.
    const bare = (value) => value.replace(/\s/g, '');
    if (bare(JSON.stringify(header)) !== bare(text)) {
        return 'the header is not plain JSON: a key stands twice, or something is written unusually';
    }
    if (!only(header, ['id', 'inputs', 'outputs', 'parameters'])
        || (header.id !== undefined && !isId(header.id))
        || (header.parameters !== undefined && !isBinary(header.parameters, 'binary_data_output'))
        || !isFew(header.inputs) || (header.outputs !== undefined && !isFew(header.outputs))) {
        return 'expected id, inputs and outputs, and nothing else';
    }
    if (!(header.outputs || []).every(isOutput)) {
        return 'expected outputs by name';
    }
    const bytes = header.inputs.reduce((sum, tensor) => sum + inputBytes(tensor), 0);
    if (length + bytes !== body.length) {
        return 'expected inputs whose shape, binary_data_size and bytes agree';
    }
    return '';
}

function judge(r) {
    let body;
    try {
        body = r.requestBuffer || Buffer.from('');
    } catch (error) {
        r.return(413, '{"error":"the body is too large"}\n');
        return;
    }
    const reason = fault(body, r.headersIn['Inference-Header-Content-Length']);
    if (reason) {
        r.headersOut['Content-Type'] = 'application/json';
        r.return(400, JSON.stringify({ error: 'refused at the gateway: ' + reason }) + '\n');
        return;
    }
    r.internalRedirect('@judged');
}

export default { judge };
