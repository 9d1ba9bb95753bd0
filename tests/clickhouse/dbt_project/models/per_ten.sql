select intDiv(id, 100) as part, count() as number from {{ ref('numbers') }} group by part
